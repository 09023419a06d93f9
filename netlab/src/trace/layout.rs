//! Where the running kernel keeps what the capture programs read.

use netlab_common::event::Layout;

use super::{Result, btf::Btf};

/// Reads the offsets from BTF.
///
/// # Errors
///
/// Where this kernel's structures lack a field.
pub(super) fn layout(btf: &Btf) -> Result<Layout> {
    Ok(Layout {
        dev_ifindex: btf.offset("net_device", &["ifindex"])?,
        dev_net: btf.offset("net_device", &["nd_net", "net"])?,
        net_inum: btf.offset("net", &["ns", "inum"])?,
        skb_head: btf.offset("sk_buff", &["head"])?,
        skb_data: btf.offset("sk_buff", &["data"])?,
        skb_len: btf.offset("sk_buff", &["len"])?,
        skb_mac_header: btf.offset("sk_buff", &["mac_header"])?,
        skb_network_header: btf.offset("sk_buff", &["network_header"])?,
        skb_protocol: btf.offset("sk_buff", &["protocol"])?,
        skb_vlan: btf.offset("sk_buff", &["vlan_proto"])?,
        skb_dev: btf.offset("sk_buff", &["dev"])?,
        skb_sk: btf.offset("sk_buff", &["sk"])?,
        sock_net: btf.offset("sock_common", &["skc_net", "net"])?,
    })
}
