//! Why the kernel dropped a packet, and where: names for its numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    sync::Arc,
};

use super::btf::Btf;

/// Where the kernel lists its functions.
const SYMBOLS: &str = "/proc/kallsyms";

/// `SKB_DROP_REASON_SUBSYS_SHIFT` of net/dropreason.h.
const SUBSYSTEM: u32 = 16;

/// The running kernel's names.
pub(super) struct Reasons {
    names: BTreeMap<u32, Arc<str>>,
    /// Subsystems that have reasons of their own, by the upper half of those.
    subsystems: BTreeMap<u32, Box<str>>,
    /// The modules whose names of reasons are known.
    modules: BTreeSet<OsString>,
    /// Addresses of functions, in order; empty where the kernel hides them.
    functions: Vec<(u64, Box<str>)>,
    /// Those asked for already.
    places: BTreeMap<u64, Arc<str>>,
}

impl Reasons {
    /// Reads the names of reasons from BTF, the kernel's and its modules', and the functions
    /// where the kernel shows them. What it does not name is told by its number.
    pub fn of_kernel() -> Self {
        let Ok(btf) = Btf::of_kernel() else { return Self::unknown() };
        let btf = &btf;
        let names = btf.names("skb_drop_reason").unwrap_or_default();
        let names = names.into_iter().map(|(number, name)| {
            let name = name.strip_prefix("SKB_DROP_REASON_").unwrap_or(name);
            (number, name.into())
        });
        // Older kernels have none.
        let subsystems = btf.names("skb_drop_reason_subsys").unwrap_or_default();
        let subsystems = subsystems.into_iter().filter_map(|(number, name)| {
            let name = name.strip_prefix("SKB_DROP_REASON_SUBSYS_").unwrap_or(name);
            // The end of the enum is none.
            (name != "NUM").then(|| (number, name.into()))
        });
        // Without them a drop is told by its reason alone.
        let symbols = fs::read_to_string(SYMBOLS).unwrap_or_default();
        let functions = functions(&symbols);
        let modules = Btf::modules();
        let mut reasons = Self {
            names: names.collect(),
            subsystems: subsystems.collect(),
            modules: BTreeSet::new(),
            functions,
            places: BTreeMap::new(),
        };
        reasons.learn(of_subsystems(btf, &modules));
        reasons.modules = modules;
        reasons
    }

    /// Numbers alone.
    const fn unknown() -> Self {
        Self {
            names: BTreeMap::new(),
            subsystems: BTreeMap::new(),
            modules: BTreeSet::new(),
            functions: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// The name of a reason.
    ///
    /// Those of subsystems have their subsystem in the upper half, and modules may bring names of
    /// them later.
    pub fn reason(&mut self, number: u32) -> Arc<str> {
        if let Some(name) = self.names.get(&number) {
            return Arc::clone(name);
        }
        if number >> SUBSYSTEM != 0 {
            self.renew(Btf::modules(), |modules| match Btf::of_kernel() {
                Ok(kernel) => of_subsystems(&kernel, modules),
                Err(_) => BTreeMap::new(),
            });
        }
        let unnamed = self.unnamed(number);
        Arc::clone(self.names.entry(number).or_insert_with(|| unnamed.into()))
    }

    /// Reads names again if modules have come or gone. Their type information is large, and
    /// drops come in bursts.
    fn renew(
        &mut self,
        modules: BTreeSet<OsString>,
        read: impl FnOnce(&BTreeSet<OsString>) -> BTreeMap<u32, String>,
    ) {
        if modules != self.modules {
            self.learn(read(&modules));
            self.modules = modules;
        }
    }

    fn learn(&mut self, names: BTreeMap<u32, String>) {
        for (number, name) in names {
            self.names.entry(number).or_insert_with(|| name.into());
        }
    }

    /// What to call a reason that nothing names.
    fn unnamed(&self, number: u32) -> String {
        let (subsystem, own) = (number >> SUBSYSTEM, number & ((1 << SUBSYSTEM) - 1));
        match (subsystem, self.subsystems.get(&subsystem)) {
            (0, _) => format!("reason {number:#x}"),
            (_, Some(name)) => format!("SUBSYS_{name}/{own}, a reason of that subsystem's own"),
            (_, None) => format!("SUBSYS_{subsystem}/{own}, a reason of a subsystem's own"),
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

/// Names of the reasons of all subsystems that the kernel, or one of these modules, has.
fn of_subsystems(kernel: &Btf, modules: &BTreeSet<OsString>) -> BTreeMap<u32, String> {
    let mut names = kernel.drop_reasons(None);
    for module in Btf::of_modules(modules) {
        names.extend(module.drop_reasons(Some(kernel)));
    }
    names
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
            subsystems: BTreeMap::from([(2, "OPENVSWITCH".into())]),
            modules: BTreeSet::new(),
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
        assert_eq!(&*sample().reason(0x7777), "reason 0x7777");
        let own = "a reason of that subsystem's own";
        assert_eq!(&*sample().reason(0x2fff0), format!("SUBSYS_OPENVSWITCH/65520, {own}"));
        let some = "a reason of a subsystem's own";
        assert_eq!(&*sample().reason(0x0bad_0011), format!("SUBSYS_2989/17, {some}"));
    }

    #[test]
    fn names_are_read_again_only_when_modules_have_come_or_gone() {
        let mut reasons = sample();
        let mut reads = 0;
        for modules in [&["a"][..], &["a"], &["a", "b"], &["b", "a"], &["b"], &[], &[]] {
            reasons.renew(modules.iter().map(OsString::from).collect(), |_| {
                reads += 1;
                BTreeMap::from([(0x2_0000 + reads, format!("READ_{reads}")), (8, "NO".into())])
            });
        }
        assert_eq!(reads, 4);
        let found = [8, 0x2_0001, 0x2_0004].map(|number| reasons.names[&number].to_string());
        assert_eq!(found, ["NETFILTER_DROP", "READ_1", "READ_4"]);
    }
}
