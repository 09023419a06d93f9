//! Lines, as tcpdump prints them.
