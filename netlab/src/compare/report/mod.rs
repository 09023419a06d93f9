//! A comparison as a page: one file of HTML that needs nothing else, on a screen, on a phone
//! and on paper.
//!
//! Pure: [`html`] has no clock, no file and no network, and neither has the page: its policy
//! (Content-Security-Policy) forbids to load anything, and lets nothing run but the few lines
//! behind the link that saves the JSON. Whatever a comparison says is escaped.
//!
//! The page is put together in [`page`]; each part has a file. [`headers`] reads packets,
//! [`plot`] draws.

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

use super::result::{Comparison, VERSION};

pub use page::html;

/// Why there is no comparison in a text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON, or not of a comparison.
    #[error("this is no comparison of `netlab compare -o json`")]
    Syntax(#[from] serde_json::Error),
    /// Another netlab has written it.
    #[error(
        "this comparison is of version {found} of the JSON, and this netlab reads version \
         {VERSION}; show it with the netlab that made it, or compare again"
    )]
    Version {
        /// Its version.
        found: u64,
    },
}

/// Reads what `netlab compare -o json` has printed.
///
/// # Errors
///
/// See [`ReadError`]; another version is told as such, whatever else there is in it.
pub fn read(json: &str) -> Result<Comparison, ReadError> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(VERSION) => Err(ReadError::Version { found }),
        // From the text and not from the value, so that an error tells its line.
        _ => Ok(serde_json::from_str(json)?),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_told_as_such_and_other_texts_too() {
        let told = |json: &str| read(json).unwrap_err().to_string();
        assert!(told(r#"{"version": 1, "bpf": []}"#).contains("version 1 of the JSON"));
        assert!(told(r#"{"version": 99}"#).contains("version 99 of the JSON"));
        assert!(told("{}").contains("no comparison"));
        assert!(told("[1, 2").contains("no comparison"));
    }
}
