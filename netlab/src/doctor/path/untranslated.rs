//! Ports that nobody on a host translates: what there is in place of the rules, and what to do.

use std::net::SocketAddr;

use super::walk::Walker;
use crate::doctor::{
    facts::{HostFacts, Source},
    finding::{Code, Confidence, Finding},
};

impl Walker<'_> {
    /// Says that nothing of the node translates the node port.
    pub fn untranslated(&mut self, host: &HostFacts, cause: String) {
        let finding = Finding::broken(Code::ProxyStale, Some(&host.name), cause)
            .confidence(Confidence::Likely);
        let finding = shown(finding, host, self.case.dialled);
        self.find(finding.advised(self.restart(host)));
    }

    /// Who has to write the rules anew.
    fn restart(&self, host: &HostFacts) -> String {
        let name = &host.name;
        match (&self.facts.lab, &host.agent) {
            (Some(lab), _) => format!(
                "Have the agent of {name} write everything anew: netlab lab up --name {} starts \
                 it again.",
                lab.name
            ),
            (None, Some(_)) => format!("Start netlab's agent on {name} again, and read its log."),
            (None, None) => format!(
                "Start kube-proxy on {name} again, and read its log: it writes all its rules \
                 anew."
            ),
        }
    }

    /// Nothing listens, and no object says whether anything should: of a port that rules should
    /// translate it would look the same.
    pub fn unknown_port(&self, finding: Finding, host: &HostFacts) -> Finding {
        let dialled = self.case.dialled;
        let port = dialled.port();
        let mut finding = Finding {
            cause: format!(
                "nothing on {} translates or listens on {} port {port}",
                host.name, self.case.protocol
            ),
            fixes: Vec::new(),
            ..finding.confidence(Confidence::Likely)
        };
        finding = shown(finding, host, dialled);
        finding.advised(
            "If it is a node port, the proxy's rules for it are gone: give the objects (-f FILE, \
             or --kubernetes), which say so. If not, start the program that should listen on it.",
        )
    }
}

/// What there is of the proxy's where the port should be.
fn shown(finding: Finding, host: &HostFacts, dialled: SocketAddr) -> Finding {
    let port = dialled.port();
    if let Some(maps) = &host.datapath {
        let own = maps.frontends.iter().find(|of| of.address.port() == port);
        let text = match own {
            Some(own) => {
                let backends: Vec<_> =
                    own.backends.iter().map(|of| of.address.to_string()).collect();
                format!("frontend {}: backends {}", own.address, backends.join(", "))
            }
            None => format!("netlab's maps: no frontend with port {port}"),
        };
        return finding.shown(Source::Datapath, text);
    }
    let tables = host.nft.iter().flat_map(|rules| &rules.tables);
    let mut names: Vec<_> =
        tables.map(|table| format!("table {} {}", table.family, table.name)).collect();
    let stores = host.iptables.iter().flat_map(|store| &store.tables);
    let of_iptables = stores.filter(|table| table.name == "nat").map(|table| {
        let has = table.chain("KUBE-NODEPORTS").is_some();
        let what = if has { "with kube-proxy's chains" } else { "without kube-proxy's chains" };
        format!("iptables' table nat {what}")
    });
    names.extend(of_iptables);
    names.dedup();
    let text = match names.as_slice() {
        [] => "there is no table of nftables, and none of iptables for NAT".to_owned(),
        names => format!("nothing for port {port} in {}", names.join(", ")),
    };
    let source = if host.nft.is_none() && !host.iptables.is_empty() {
        Source::IptablesNft
    } else {
        Source::Nft
    };
    finding.shown(source, text)
}
