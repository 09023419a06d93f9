//! The whole page, in its order.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::{answer, conditions, latency, network, numbers, scaling};
use crate::compare::result::Comparison;

/// What the page looks like.
const STYLE: &str = include_str!("style.css");
/// What is behind the link that saves the JSON.
const SCRIPT: &str = include_str!("save.js");

/// The page of a comparison.
#[must_use]
pub fn html(comparison: &Comparison) -> String {
    let json = serde_json::to_string(comparison).unwrap_or_else(|_| "null".to_owned());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title(comparison)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body(comparison))
                script id="comparison" type="application/json" { (PreEscaped(inert(&json))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Nothing is loaded, nothing is sent; the style and one script are in the page.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; \
         base-uri 'none'; form-action 'none'"
    )
}

/// JSON that neither ends the element it is in nor begins another: every `<` is written as its
/// number, which JSON allows in strings, and there is none elsewhere.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
}

fn title(comparison: &Comparison) -> String {
    let names: Vec<_> = comparison
        .conditions
        .options
        .modes
        .iter()
        .map(|mode| super::judgement::network(*mode))
        .collect();
    format!("netlab compare: {}", names.join(" beside "))
}

fn body(comparison: &Comparison) -> Markup {
    html! {
        header {
            p class="kicker" { (title(comparison)) }
            h1 class=[(comparison.finding.len() > 110).then_some("long")] { (super::judgement::prose(&comparison.finding)) }
            @if !comparison.details.is_empty() {
                // The plots say the same, so it does not stand before them.
                details {
                    summary { "All that is clear, and what is not, in words" }
                    ul {
                        @for detail in &comparison.details {
                            li { (super::judgement::prose(detail)) }
                        }
                    }
                }
            }
            p class="byline" { (byline(comparison)) }
            (contents(comparison))
        }
        main {
            @if let Some(failures) = answer::failures(comparison) { (failures) }
            @if let Some(part) = answer::encapsulation(comparison) { (part) }
            @if let Some(part) = answer::translation(comparison) { (part) }
            @if let Some(part) = numbers::rates(comparison) { (part) }
            @if let Some(part) = latency::section(comparison) { (part) }
            @if let Some(part) = scaling::services(comparison) { (part) }
            @if let Some(parts) = network::sections(comparison) { (parts) }
            (numbers::tables(comparison))
            (conditions::section(comparison))
            section id="raw" {
                h2 { "The raw data" }
                p {
                    "Everything, round by round, is in this file as JSON: "
                    a id="save" href="#comparison" download="netlab-compare.json" { "save it" }
                    ", or read it from the page's source."
                }
            }
        }
        footer { p { "Made by netlab " (comparison.conditions.netlab) ". This page loads nothing." } }
    }
}

fn byline(comparison: &Comparison) -> String {
    let (machine, options) = (&comparison.conditions.machine, &comparison.conditions.options);
    let cores = if machine.cores == 1 { "processor" } else { "processors" };
    format!(
        "Measured on Linux {} with {} {cores}: {} rounds of {} s for each of {} workloads in {} labs.",
        machine.kernel,
        machine.cores,
        options.rounds,
        options.duration.as_secs_f64(),
        options.workloads.len(),
        options.modes.len() * options.proxies.len(),
    )
}

/// The sections that there are.
fn contents(comparison: &Comparison) -> Markup {
    let networks = !comparison.networks.is_empty();
    let parts = [
        (answer::encapsulation(comparison).is_some(), "encapsulation", "What VXLAN costs"),
        (answer::translation(comparison).is_some(), "translation", "What a proxy costs"),
        (numbers::rates(comparison).is_some(), "rates", "Throughput and rates"),
        (latency::section(comparison).is_some(), "latency", "Latency"),
        (!comparison.scaling.is_empty(), "services", "Services"),
        (networks, "path", "The way"),
        (networks, "packet", "The packet"),
        (networks, "mtu", "What fits"),
        (networks, "nodes", "Nodes"),
        (networks, "routed", "Routed underlay"),
        (true, "numbers", "All numbers"),
        (true, "conditions", "Conditions"),
    ];
    html! {
        nav aria-label="Contents" {
            @for (_, id, name) in parts.into_iter().filter(|(there, ..)| *there) {
                a href={ "#" (id) } { (name) } " "
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_the_page_cannot_leave_its_element() {
        let text = "</script><!-- <script>";
        let json = inert(&serde_json::to_string(text).unwrap());
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn the_style_and_the_script_do_not_end_their_elements_and_load_nothing() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("url(") && !text.contains("@import"));
            assert!(!text.contains("//"), "no address");
        }
    }
}
