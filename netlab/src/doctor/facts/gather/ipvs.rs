//! Services of IPVS, which kube-proxy may have translate node ports: that there are some.

use std::{fs, io};

use super::{super::Source, gaps::Gaps};

/// Notes that the calling thread's namespace has services of IPVS: what they make of packets is
/// not followed.
pub(super) fn note(gaps: &mut Gaps) {
    let hides = "What IPVS makes of packets is not followed.";
    // Not /proc/net, which is the process's, not the thread's.
    match fs::read_to_string("/proc/thread-self/net/ip_vs") {
        Ok(text) => match services(&text) {
            0 => {}
            1 => gaps.note(Source::Ipvs, "IPVS has 1 service", hides),
            many => gaps.note(Source::Ipvs, format!("IPVS has {many} services"), hides),
        },
        // The kernel has no IPVS, or has not loaded it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => gaps.note(Source::Ipvs, error.to_string(), hides),
    }
}

/// Counts the lines that begin with a protocol, or with FWM for a firewall mark; those of their
/// servers begin with an arrow. Format: ip_vs_info_seq_show of net/netfilter/ipvs/ip_vs_ctl.c.
fn services(text: &str) -> usize {
    let kinds = text.lines().filter_map(|line| line.split_whitespace().next());
    kinds.filter(|kind| matches!(*kind, "TCP" | "UDP" | "SCTP" | "FWM")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_counted_and_neither_headings_nor_servers() {
        let none = "IP Virtual Server version 1.2.1 (size=4096)\n\
                    Prot LocalAddress:Port Scheduler Flags\n  \
                    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";
        assert_eq!(services(none), 0);
        let some = "TCP  AC120002:7594 rr  \n  -> 0AF40102:1F90      Masq    1      0          0\n\
                    UDP  AC120002:7595 rr\nFWM  00000001 rr\n";
        assert_eq!(services(&format!("{none}{some}")), 3);
    }
}
