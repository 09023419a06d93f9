//! CPU time that the kernel spends on a host's packets: softirq time by network namespace.
//!
//! The hosts of a lab share the machine's CPUs, and the kernel does not tell a node's time from
//! a client's. Programs at tracepoints do; what they count and what they miss is said in
//! `netlab-ebpf/src/softirq`. Looking costs the packets' receivers time, so it is not for rounds
//! that count.

use std::{collections::BTreeMap, time::Duration};

use aya::{
    Btf, BtfError, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{MapData, PerCpuHashMap, PerCpuValues},
    programs::BtfTracePoint,
    util::nr_cpus,
};
use netlab_common::softirq::{Layout, map, program};

use super::traffic::failed;
use crate::{
    datapath::{self, load::broken},
    trace::{self, btf},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netlab-softirq"));

/// Why softirq time cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The kernel's type information lacks something.
    #[error(transparent)]
    Layout(#[from] trace::Error),
    /// It cannot be read.
    #[error("cannot read the kernel's type information (BTF)")]
    Types(#[from] BtfError),
    /// The kernel refuses the programs.
    #[error(transparent)]
    Programs(#[from] datapath::Error),
}

/// Hosts of a lab: names, and inode numbers of their network namespaces.
pub type Hosts = BTreeMap<String, u32>;

/// Counts softirq time by network namespace, for as long as it lives.
pub struct SoftirqClock {
    ebpf: Ebpf,
}

impl SoftirqClock {
    /// Begins to count for these namespaces, by their inode numbers; at most
    /// [`netlab_common::softirq::MOST_NAMESPACES`].
    ///
    /// # Errors
    ///
    /// Where the kernel does not let it: there is no BTF, or no leave to trace.
    pub fn start(namespaces: impl IntoIterator<Item = u32>) -> Result<Self, Unavailable> {
        let types = btf::Btf::of_kernel()?;
        let layout = Layout {
            skb_dev: types.offset("sk_buff", &["dev"])?,
            napi_dev: types.offset("napi_struct", &["dev"])?,
            dev_net: types.offset("net_device", &["nd_net", "net"])?,
            net_inum: types.offset("net", &["ns", "inum"])?,
        };
        let mut loader = EbpfLoader::new();
        loader.override_global(map::LAYOUT, &layout, true);
        let ebpf = loader.load(OBJECT).map_err(|error| datapath::Error::Load(Box::new(error)))?;
        let mut clock = Self { ebpf };
        clock.open(namespaces)?;
        let types = Btf::from_sys_fs()?;
        // Whoever makes the clock run comes last, and finds those who stop it in place.
        for program in [program::LEAVE, program::POLL, program::RECEIVE, program::ENTER] {
            clock.attach(program, &types)?;
        }
        Ok(clock)
    }

    /// An account for each namespace: without one, its time is booked nowhere.
    fn open(&mut self, namespaces: impl IntoIterator<Item = u32>) -> datapath::Result<()> {
        let times = self.ebpf.map_mut(map::TIMES).ok_or(datapath::Error::Missing(map::TIMES))?;
        let mut times: PerCpuHashMap<&mut MapData, u32, u64> =
            times.try_into().map_err(broken("use", map::TIMES))?;
        let cpus = nr_cpus().map_err(|(_, error)| error.into());
        let cpus = cpus.map_err(broken("fill", map::TIMES))?;
        for namespace in namespaces {
            let none = PerCpuValues::try_from(vec![0; cpus]).map_err(Into::into);
            let none = none.map_err(broken("fill", map::TIMES))?;
            times.insert(namespace, none, 0).map_err(broken("fill", map::TIMES))?;
        }
        Ok(())
    }

    fn attach(
        &mut self,
        (name, tracepoint): (&'static str, &str),
        types: &Btf,
    ) -> datapath::Result<()> {
        let program = self.ebpf.program_mut(name).ok_or(datapath::Error::Missing(name))?;
        let program: &mut BtfTracePoint = program.try_into().map_err(failed("use", name))?;
        program.load(tracepoint, types).map_err(failed("load", name))?;
        program.attach().map(drop).map_err(failed("attach", name))
    }

    /// What was spent so far on packets of these hosts.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read, or has no account for one of them.
    pub fn read(&self, hosts: &Hosts) -> datapath::Result<Spent> {
        let times = self.ebpf.map(map::TIMES).ok_or(datapath::Error::Missing(map::TIMES))?;
        let times: PerCpuHashMap<&MapData, u32, u64> =
            times.try_into().map_err(broken("use", map::TIMES))?;
        let read = |(name, namespace): (&String, &u32)| {
            let cpus = times.get(namespace, 0).map_err(broken("read", map::TIMES))?;
            Ok((name.clone(), Duration::from_nanos(cpus.iter().sum())))
        };
        hosts.iter().map(read).collect::<datapath::Result<_>>().map(Spent)
    }
}

/// Softirq time by host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<String, Duration>);

impl Spent {
    /// Seconds since an earlier moment, by host.
    #[must_use]
    pub fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        let since = |(name, now): (&String, &Duration)| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), now.saturating_sub(before).as_secs_f64())
        };
        self.0.iter().map(since).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_since_is_told_by_host() {
        let spent = |near, far| {
            let hosts = [("node-1", near), ("node-2", far)];
            Spent(hosts.map(|(name, of)| (name.to_owned(), Duration::from_millis(of))).into())
        };
        let since = spent(1_700, 30).since(&spent(200, 30));
        assert_eq!(since, BTreeMap::from([("node-1".into(), 1.5), ("node-2".into(), 0.0)]));
        assert_eq!(spent(5, 0).since(&Spent::default())["node-1"], 0.005);
    }
}
