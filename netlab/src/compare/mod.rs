//! host-gw beside VXLAN, netlab beside kube-proxy: what is compared, and how.

pub mod traffic;
