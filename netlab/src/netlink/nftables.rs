//! Which nftables tables a namespace has, without any program.

use nix::sys::socket::SockProtocol;

use super::{
    Result,
    raw::{DUMP, REQUEST, Socket, find},
};

/// NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE and NFT_MSG_GETTABLE (linux/netfilter/nf_tables.h).
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = 10 << 8 | 1;
/// NFTA_TABLE_NAME.
const NAME: u16 = 1;
/// Octets of nfnetlink's header, of which the first is the family.
const FAMILY_HEADER: usize = 4;

/// A table by family and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// As nft calls it: `ip`, `ip6`, `inet`, `arp`, `bridge` or `netdev`.
    pub family: &'static str,
    /// Its name.
    pub name: String,
}

/// The tables of the calling thread's namespace.
///
/// # Errors
///
/// Where the kernel has no nftables, and EPERM without CAP_NET_ADMIN.
pub fn tables() -> Result<Vec<Table>> {
    let socket = Socket::open(SockProtocol::NetlinkNetFilter, "the nftables tables")?;
    socket.send(GET_TABLE, REQUEST | DUMP, &[0; FAMILY_HEADER])?;
    let mut tables = Vec::new();
    socket.answers(|kind, payload| {
        if kind == NEW_TABLE {
            tables.extend(Table::parse(payload));
        }
    })?;
    Ok(tables)
}

impl Table {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let name = find(bytes.get(FAMILY_HEADER..)?, NAME)?;
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        let name = String::from_utf8_lossy(name).into_owned();
        Some(Self { family: family(*bytes.first()?), name })
    }
}

/// NFPROTO_* of linux/netfilter.h.
const fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::raw::attribute;

    #[test]
    fn a_table_has_its_family_and_name() {
        let mut bytes = vec![10, 0, 0, 0];
        attribute(&mut bytes, NAME, b"kube-proxy\0");
        let expected = Table { family: "ip6", name: "kube-proxy".into() };
        assert_eq!(Table::parse(&bytes), Some(expected));
    }
}
