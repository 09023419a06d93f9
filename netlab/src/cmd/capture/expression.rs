//! From what was typed to a filter.

use std::fs;

use anyhow::Context as _;
use netlab::capture::{
    LinkType,
    filter::{Filter, Options, VXLAN_PORTS},
};

use super::cluster::Cluster;
use crate::cli::CaptureArgs;

/// The filter for packets of a link type; `cluster` is where a Service is looked for.
pub(super) fn filter(
    args: &CaptureArgs,
    cluster: Option<&Cluster>,
    link: LinkType,
) -> anyhow::Result<Filter> {
    let optimize = !args.choice.unoptimized;
    let options = Options { link, vxlan_ports: vxlan_ports(args), optimize };
    let mut filter = match expression(args)? {
        Some(expression) => Filter::parse(&expression, &options)?,
        None => Filter::all(),
    };
    if let Some(inner) = &args.choice.inner {
        filter = filter.and(Filter::parse_inside(inner, &options)?);
    }
    if let (Some(name), Some(cluster)) = (&args.choice.service, cluster)
        && let Some(expression) = cluster.expression(name)?
    {
        filter = filter.and(Filter::parse_anywhere(&expression, &options)?);
    }
    Ok(filter)
}

/// UDP ports of VXLAN.
pub(super) fn vxlan_ports(args: &CaptureArgs) -> Vec<u16> {
    match args.choice.vxlan_ports.as_slice() {
        [] => VXLAN_PORTS.to_vec(),
        ports => ports.to_vec(),
    }
}

fn expression(args: &CaptureArgs) -> anyhow::Result<Option<String>> {
    let text = match &args.choice.filter_file {
        Some(file) => one_line(
            &fs::read_to_string(file)
                .with_context(|| format!("cannot read the filter {}", file.display()))?,
        ),
        None => args.filter.join(" "),
    };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A filter of several lines as one, so that a caret has something to stand under; without what
/// is behind a `#`, as tcpdump reads it.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_line_ends_in_a_filter_file_mean_nothing() {
        assert_eq!(one_line("tcp and # what\n\n# why\n  port 80\n"), "tcp and port 80");
    }
}
