//! Why the kernel dropped a packet, and where: names for its numbers.

use std::{collections::BTreeMap, fs, sync::Arc};

use super::{Result, btf::Btf};

/// Where the kernel lists its functions.
const SYMBOLS: &str = "/proc/kallsyms";

/// The running kernel's names.
pub(super) struct Reasons {
    names: BTreeMap<u32, Arc<str>>,
    /// Addresses of functions, in order; empty where the kernel hides them.
    functions: Vec<(u64, Box<str>)>,
    /// Those asked for already.
    places: BTreeMap<u64, Arc<str>>,
}

impl Reasons {
    /// Reads the names of reasons from BTF, and the functions where the kernel shows them.
    pub fn of_kernel(btf: &Btf) -> Result<Self> {
        let names = btf.names("skb_drop_reason")?;
        let names = names.into_iter().map(|(number, name)| {
            let name = name.strip_prefix("SKB_DROP_REASON_").unwrap_or(name);
            (number, name.into())
        });
        // Without them a drop is told by its reason alone.
        let symbols = fs::read_to_string(SYMBOLS).unwrap_or_default();
        let functions = functions(&symbols);
        Ok(Self { names: names.collect(), functions, places: BTreeMap::new() })
    }

    /// The name of a reason. Reasons of subsystems, in the upper half, have numbers only.
    pub fn reason(&self, number: u32) -> Arc<str> {
        match self.names.get(&number) {
            Some(name) => Arc::clone(name),
            None => format!("reason {number:#x}").into(),
        }
    }

    /// The function around an address, and how far into it.
    pub fn place(&mut self, address: u64) -> Arc<str> {
        let functions = &self.functions;
        let place = self.places.entry(address).or_insert_with(|| {
            let behind = functions.partition_point(|(start, _)| *start <= address);
            match behind.checked_sub(1).and_then(|at| functions.get(at)) {
                Some((start, name)) => format!("{name}+{:#x}", address - start).into(),
                None => format!("{address:#x}").into(),
            }
        });
        Arc::clone(place)
    }
}

/// Lines of `address type name [module]`; text symbols alone. Addresses are zero for those who
/// may not know them (kptr_restrict).
fn functions(symbols: &str) -> Vec<(u64, Box<str>)> {
    let mut functions: Vec<(u64, Box<str>)> = symbols
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let is_text = matches!(words.next()?, "t" | "T" | "w" | "W");
            (address != 0 && is_text).then(|| words.next().map(|name| (address, name.into())))?
        })
        .collect();
    functions.sort_unstable();
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Reasons {
        let symbols =
            "ffff10 T ip_rcv\nffff40 t nf_hook_slow [nf]\nffff30 D jiffies\n0000 T none\n";
        Reasons {
            names: BTreeMap::from([(8, "NETFILTER_DROP".into())]),
            functions: functions(symbols),
            places: BTreeMap::new(),
        }
    }

    #[test]
    fn an_address_is_told_by_the_function_around_it() {
        let mut reasons = sample();
        assert_eq!(&*reasons.place(0xffff4a), "nf_hook_slow+0xa");
        assert_eq!(&*reasons.place(0xffff3a), "ip_rcv+0x2a");
        assert_eq!(&*reasons.place(0x10), "0x10");
    }

    #[test]
    fn a_reason_without_a_name_is_told_by_its_number() {
        assert_eq!(&*sample().reason(8), "NETFILTER_DROP");
        assert_eq!(&*sample().reason(0x10007), "reason 0x10007");
    }
}
