//! What a namespace counts, from /proc and netlink.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::super::counters::Softnet;

/// Protocols' counters of the calling thread's namespace.
pub(super) fn protocols() -> io::Result<BTreeMap<String, u64>> {
    // Not /proc/net, which is the process's, not the thread's.
    let read = |file: &str| fs::read_to_string(Path::new("/proc/thread-self/net").join(file));
    let mut counters = pairs_of_lines(&read("snmp")?);
    counters.extend(pairs_of_lines(&read("netstat")?));
    // Not there without IPv6.
    counters.extend(lines(&read("snmp6").unwrap_or_default()));
    Ok(counters)
}

/// Of all CPUs.
pub(super) fn softnet() -> io::Result<Softnet> {
    fs::read_to_string("/proc/net/softnet_stat").map(|text| sum(&text))
}

/// Lines in pairs, `Group: NAME...` and `Group: NUMBER...`.
fn pairs_of_lines(text: &str) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    let mut lines = text.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let Some((group, names)) = names.split_once(':') else { continue };
        let numbers = numbers.split_once(':').map_or("", |(_, numbers)| numbers);
        for (name, number) in names.split_whitespace().zip(numbers.split_whitespace()) {
            insert(&mut counters, format!("{group}.{name}"), number);
        }
    }
    counters
}

/// Lines of `NAME NUMBER`.
fn lines(text: &str) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for (name, number) in text.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
        insert(&mut counters, name.to_owned(), number.trim());
    }
    counters
}

/// Zeros are left out, and what is negative: `Tcp.MaxConn` is -1 for none.
fn insert(counters: &mut BTreeMap<String, u64>, name: String, number: &str) {
    if let Ok(number @ 1..) = number.parse() {
        counters.insert(name, number);
    }
}

/// A line a CPU, of hexadecimal columns: processed, dropped, squeezed, and more.
fn sum(text: &str) -> Softnet {
    let mut sum = Softnet::default();
    for line in text.lines() {
        let mut columns = line.split_whitespace().map(|hex| u64::from_str_radix(hex, 16));
        let mut next = || columns.next().and_then(Result::ok).unwrap_or(0);
        sum.processed += next();
        sum.dropped += next();
        sum.squeezed += next();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines_name_each_number() {
        let text = "Ip: Forwarding DefaultTTL InReceives\nIp: 1 64 0\n\
                    Tcp: MaxConn ActiveOpens\nTcp: -1 2\n";
        let expected = [("Ip.DefaultTTL", 64), ("Ip.Forwarding", 1), ("Tcp.ActiveOpens", 2)];
        let expected = expected.map(|(name, number)| (name.to_owned(), number));
        assert_eq!(pairs_of_lines(text), BTreeMap::from(expected));
    }

    #[test]
    fn ipv6_counts_line_by_line() {
        let text = "Ip6InReceives                   \t3\nIp6InNoRoutes \t0\n";
        assert_eq!(lines(text), BTreeMap::from([("Ip6InReceives".to_owned(), 3)]));
    }

    #[test]
    fn cpus_are_summed() {
        let text = "0000000a 00000001 00000002 00000000\n00000010 00000000 00000001 0\n";
        assert_eq!(sum(text), Softnet { processed: 26, dropped: 1, squeezed: 3 });
    }

    #[test]
    fn the_kernel_counts() {
        assert!(protocols().unwrap().contains_key("Ip.DefaultTTL"));
        assert!(softnet().is_ok());
    }
}
