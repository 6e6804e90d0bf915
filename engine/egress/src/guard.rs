//! The address guard: which addresses are on the public internet, and so may be dialed.
//!
//! The source of the table are IANA's special-purpose address registries. Addresses that carry an
//! IPv4 address inside (mapped, compatible, NAT64, 6to4, Teredo) are blocked as whole ranges,
//! whatever they carry: no public service needs them, and decoding is where guards go wrong. Of
//! IPv6 only 2000::/3 is global unicast, so everything else is blocked even where it has no name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

const PRIVATE: &str = "a private network";
const LOOPBACK: &str = "this machine itself";
const LINK_LOCAL: &str = "link-local, where cloud metadata is served";
const DOCUMENTATION: &str = "reserved for documentation";
const BENCHMARK: &str = "reserved for benchmarks";
const MULTICAST: &str = "multicast";
const RESERVED: &str = "reserved";
const EMBEDDED: &str = "an IPv4 address in IPv6 clothes";

/// Network, prefix length, and what lives there.
const BLOCKED_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "the unspecified network"),
    ([10, 0, 0, 0], 8, PRIVATE),
    ([100, 64, 0, 0], 10, "a carrier's private network"),
    ([127, 0, 0, 0], 8, LOOPBACK),
    ([168, 63, 129, 16], 32, "a cloud's metadata service"),
    ([169, 254, 0, 0], 16, LINK_LOCAL),
    ([172, 16, 0, 0], 12, PRIVATE),
    ([192, 0, 0, 0], 24, RESERVED),
    ([192, 0, 2, 0], 24, DOCUMENTATION),
    ([192, 31, 196, 0], 24, RESERVED),
    ([192, 52, 193, 0], 24, RESERVED),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, PRIVATE),
    ([192, 175, 48, 0], 24, RESERVED),
    ([198, 18, 0, 0], 15, BENCHMARK),
    ([198, 51, 100, 0], 24, DOCUMENTATION),
    ([203, 0, 113, 0], 24, DOCUMENTATION),
    ([224, 0, 0, 0], 4, MULTICAST),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, RESERVED),
];

/// The first two groups and a few more bits are enough for every range but the very small ones,
/// which come first.
const BLOCKED_V6: &[([u16; 8], u32, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "the unspecified address"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, LOOPBACK),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, EMBEDDED),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, EMBEDDED),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, EMBEDDED),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, EMBEDDED),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, EMBEDDED),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "a discard network"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, EMBEDDED),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, BENCHMARK),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, RESERVED),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, DOCUMENTATION),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, EMBEDDED),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, RESERVED),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, DOCUMENTATION),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, RESERVED),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, PRIVATE),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LINK_LOCAL),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, PRIVATE),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, MULTICAST),
];

/// Why `address` may not be dialed; `None` when it may. `allowed` are the networks that the
/// operator opened; an IPv4 network opens nothing that is written as IPv6.
pub(crate) fn objection(address: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
    if allowed.iter().any(|network| network.contains(&address)) {
        return None;
    }
    match address {
        IpAddr::V4(address) => BLOCKED_V4
            .iter()
            .find(|(network, length, _)| {
                (address.to_bits() ^ Ipv4Addr::from(*network).to_bits()) >> (32 - length) == 0
            })
            .map(|(_, _, what)| *what),
        IpAddr::V6(address) => BLOCKED_V6
            .iter()
            .find(|(network, length, _)| {
                (address.to_bits() ^ Ipv6Addr::from(*network).to_bits()) >> (128 - length) == 0
            })
            .map(|(_, _, what)| *what)
            .or_else(|| (address.segments()[0] >> 13 != 1).then_some(RESERVED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objection_to(address: &str, allowed: &[&str]) -> Option<&'static str> {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        objection(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn both_edges_of_every_blocked_range_are_blocked() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.0",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.192",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.254",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "100::",
            "100::ffff:ffff:ffff:ffff",
            "2001::1",
            "2001:0:ffff:ffff::",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2001:db8:ffff::",
            "2002::",
            "2002:7f00:1::",
            "2002:ffff::",
            "3fff::1",
            "3fff:fff::",
            "5f00::1",
            "5f00:ffff::",
            "fc00::",
            "fd00:ec2::254",
            "fdff::",
            "fe80::1",
            "febf::",
            "fec0::1",
            "feff::",
            "ff00::",
            "ff02::1",
            "ffff::",
            "4000::1",
            "8000::1",
            "1::1",
            "1fff::",
        ] {
            assert!(objection_to(address, &[]).is_some(), "{address} got through");
        }
    }

    #[test]
    fn addresses_just_outside_the_blocked_ranges_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            assert_eq!(objection_to(address, &[]), None, "{address}");
        }
    }

    #[test]
    fn an_opened_network_opens_itself_and_nothing_else() {
        assert_eq!(objection_to("127.0.0.1", &["127.0.0.0/8"]), None);
        assert_eq!(objection_to("10.1.2.3", &["127.0.0.0/8", "10.1.0.0/16"]), None);
        assert!(objection_to("10.2.2.3", &["127.0.0.0/8", "10.1.0.0/16"]).is_some());
        assert!(objection_to("::1", &["127.0.0.0/8"]).is_some());
        assert!(objection_to("::ffff:127.0.0.1", &["127.0.0.0/8"]).is_some());
        assert!(objection_to("64:ff9b::7f00:1", &["127.0.0.0/8"]).is_some());
        assert_eq!(objection_to("::ffff:127.0.0.1", &["::ffff:127.0.0.0/104"]), None);
    }

    proptest! {
        #[test]
        fn no_ipv6_address_that_carries_an_ipv4_one_is_public(bits: u32) {
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            for carrier in [
                [0, 0, 0, 0, 0, 0xffff, a, b],
                [0, 0, 0, 0, 0, 0, a, b],
                [0, 0, 0, 0, 0xffff, 0, a, b],
                [0x64, 0xff9b, 0, 0, 0, 0, a, b],
                [0x64, 0xff9b, 1, a, b, 0, 0, 0],
                [0x2002, a, b, 0, 0, 0, 0, 1],
                [0x2001, 0, a, b, 0, 0, !a, !b],
            ] {
                prop_assert!(objection(IpAddr::V6(Ipv6Addr::from(carrier)), &[]).is_some());
            }
        }

        #[test]
        fn the_standard_library_knows_no_special_address_that_the_guard_does_not(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!special || objection(IpAddr::V4(address), &[]).is_some());
        }
    }
}
