//! iptables' rules, of both stores: read with iptables-save, where the kernel says that there
//! are any.

mod reduce;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fs, io};

use self::reduce::Underlay;
use super::{
    super::{
        HostFacts, Source,
        iptables::{Chain, Rule, Store, Table, Variant},
        nft::Counted,
    },
    gaps::Gaps,
    host::Means,
};
use crate::netlink::nftables;

/// Tables of iptables, in either store.
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Those of the calling thread's namespace, which is the host's. `tables` are what nftables has
/// there.
pub(super) async fn read(
    means: &Means<'_>,
    host: &HostFacts,
    tables: &[nftables::Table],
    gaps: &mut Gaps,
) -> Vec<Store> {
    let underlay = Underlay::of(host, &means.nodes);
    let mut stores = Vec::new();
    for (variant, v4) in [
        (Variant::Legacy, true),
        (Variant::Legacy, false),
        (Variant::Nft, true),
        (Variant::Nft, false),
    ] {
        let names = match variant {
            Variant::Legacy => legacy_tables(v4, gaps),
            Variant::Nft => nft_tables(tables, v4),
        };
        if names.is_empty() {
            continue;
        }
        let program = program(variant, v4);
        match means.programs.run(program, &["-c"]).await {
            Ok(text) => {
                let mut tables = parse(&text);
                let cut = |table| reduce::to_subject(table, means.subject, &underlay);
                tables.iter_mut().for_each(cut);
                stores.push(Store { variant, v4, tables });
            }
            // What iptables-nft does not understand, nft shows; what it does, nft shows too.
            Err(_) if variant == Variant::Nft => {}
            Err(reason) => gaps.note(
                Source::IptablesLegacy,
                reason,
                format!(
                    "What iptables' rules in the kernel's own tables {} do to IPv{} packets is \
                     not seen.",
                    names.join(", "),
                    if v4 { 4 } else { 6 },
                ),
            ),
        }
    }
    stores
}

const fn program(variant: Variant, v4: bool) -> &'static str {
    match (variant, v4) {
        (Variant::Legacy, true) => "iptables-legacy-save",
        (Variant::Legacy, false) => "ip6tables-legacy-save",
        (Variant::Nft, true) => "iptables-nft-save",
        (Variant::Nft, false) => "ip6tables-nft-save",
    }
}

/// The kernel names the tables that anybody has looked into.
fn legacy_tables(v4: bool, gaps: &mut Gaps) -> Vec<String> {
    let file = if v4 { "ip_tables_names" } else { "ip6_tables_names" };
    match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
        Ok(names) => names.lines().map(str::to_owned).collect(),
        // A kernel without them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let hides = "Rules of iptables-legacy that drop packets are not seen.";
            gaps.note(Source::IptablesLegacy, format!("{file} cannot be read: {error}"), hides);
            Vec::new()
        }
    }
}

fn nft_tables(tables: &[nftables::Table], v4: bool) -> Vec<String> {
    let family = if v4 { "ip" } else { "ip6" };
    let is_own =
        |table: &&nftables::Table| table.family == family && TABLES.contains(&table.name.as_str());
    tables.iter().filter(is_own).map(|table| table.name.clone()).collect()
}

/// Everything that `iptables-save -c` printed.
fn parse(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    // Positions in the last table: there may be tens of thousands of chains.
    let mut chains = HashMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            chains.clear();
            tables.push(Table { name: name.to_owned(), ..Table::default() });
        } else if let Some(table) = tables.last_mut() {
            if let Some(chain) = line.strip_prefix(':').and_then(parse_chain) {
                chains.insert(chain.name.clone(), table.chains.len());
                table.chains.push(chain);
            } else if line.starts_with('[') {
                add_rule(table, &chains, line);
            }
        }
    }
    tables
}

/// `INPUT ACCEPT [12:345]`, `KUBE-SERVICES - [0:0]`.
fn parse_chain(text: &str) -> Option<Chain> {
    let mut words = text.split_whitespace();
    let name = words.next()?.to_owned();
    let policy = words.next().filter(|policy| *policy != "-").map(str::to_owned);
    let counter = words.next().and_then(counted).unwrap_or_default();
    Some(Chain { name, policy, counter, ..Chain::default() })
}

/// `[12:345] -A CHAIN ...`.
fn add_rule(table: &mut Table, chains: &HashMap<String, usize>, line: &str) {
    let Some((counter, rest)) = line.split_once(" -A ") else { return };
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let Some(chain) = chains.get(name).and_then(|at| table.chains.get_mut(*at)) else { return };
    let arguments = words(text);
    let after = |flags: [&str; 2]| {
        let at = arguments.iter().position(|word| flags.contains(&word.as_str()))?;
        arguments.get(at + 1).cloned()
    };
    let goto = after(["-g", "--goto"]);
    chain.rules.push(Rule {
        number: chain.rules.len() + 1,
        text: text.to_owned(),
        goto: goto.is_some(),
        target: goto.or_else(|| after(["-j", "--jump"])),
        counter: counted(counter).unwrap_or_default(),
        arguments,
    });
}

/// `[12:345]`.
fn counted(text: &str) -> Option<Counted> {
    let (packets, bytes) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    Some(Counted { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? })
}

/// Words, of which those in double quotes may have spaces, and quotes behind a backslash.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' if quoted => word.extend(letters.next()),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            letter => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}
