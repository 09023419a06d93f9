//! A comparison as a page: one file of HTML that needs nothing else, on a screen, on a phone
//! and on paper.
//!
//! Pure: `html` has no clock, no file and no network, and neither has the page: its policy
//! (Content-Security-Policy) forbids to load anything, and lets nothing run but the few lines
//! behind the link that saves the JSON. Whatever a comparison says is escaped.
//!
//! The page is put together in `page`; each part has a file. `headers` reads packets,
//! `plot` draws.

mod answer;
mod conditions;
mod headers;
mod judgement;
mod latency;
mod network;
mod numbers;
mod packet;
mod page;
mod path;
mod plot;
mod scaling;

use maud::{Markup, html};

pub use page::html;

/// A table in a box of its own, which scrolls where it is too wide. The first column names rows.
fn table(name: &str, header: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        div class="scroll" role="region" tabindex="0" aria-label=(name) {
            table {
                thead { tr { @for head in header { th scope="col" { (head) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, text) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (text) } }
                                @else if text.chars().count() < 36 { td class="whole" { (text) } }
                                @else { td { (text) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
