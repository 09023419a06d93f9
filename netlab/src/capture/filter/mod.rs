//! Which packets: the pcap-filter language, in user space and in the kernel.
