//! The metering round: where the time goes. To look costs time too, so this round follows those
//! that count, and is in none of their numbers.

use super::{
    CompareError,
    result::Metered,
    site::{Site, Sites},
    softirq::SoftirqClock,
    usage::BpfClock,
    workload::{Failure, Limits, Ready, Workload},
};

/// Everything that looks, for as long as it lives. What the kernel refuses is missing.
pub(super) struct Clocks {
    bpf: Option<BpfClock>,
    softirq: Option<SoftirqClock>,
}

impl Clocks {
    /// Starts all.
    pub fn start(sites: &Sites<'_>) -> Self {
        let hosts = sites.all().iter().flat_map(|site| site.hosts.values().copied());
        let softirq = SoftirqClock::start(hosts);
        let told = |error: &_| log::debug!("CPU time of hosts cannot be told: {error}");
        Self { bpf: BpfClock::start(), softirq: softirq.inspect_err(told).ok() }
    }

    /// A turn, or why the work failed.
    ///
    /// # Errors
    ///
    /// [`CompareError::Interrupted`].
    pub fn meter(
        &self,
        workload: Workload,
        site: &Site,
        limits: &Limits,
    ) -> Result<Result<Metered, Failure>, CompareError> {
        let bpf = || self.bpf.as_ref().and_then(|_| site.bpf_time());
        let hosts = || self.softirq.as_ref().and_then(|clock| clock.read(&site.hosts).ok());
        let metered = || -> Result<Metered, Failure> {
            let ready = Ready::new(workload, &site.ends, limits)?;
            let before = (bpf(), hosts());
            let work = ready.run()?;
            Ok(Metered {
                work,
                bpf: before.0.zip(bpf()).map(|(before, after)| after.since(&before)),
                hosts: before.1.zip(hosts()).map(|(before, after)| after.since(&before)),
            })
        };
        match metered() {
            Err(_) if limits.stop.is_asked() => Err(CompareError::Interrupted),
            metered => Ok(metered),
        }
    }
}
