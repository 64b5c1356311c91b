//! Networks: sets of addresses, for whoever asks where a request comes from.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// A set of addresses, written as networks.
///
/// An IPv4 address that is mapped into IPv6 is the IPv4 address, on both sides.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The set of all addresses in any of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }

    /// True for an address in any of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// True when some address is in both these and the others.
    pub fn overlap(&self, others: &Self) -> bool {
        // Of two networks that have an address in common one holds the other.
        self.0.iter().any(|own| {
            let mut others = others.0.iter();
            others.any(|other| own.contains(other) || other.contains(own))
        })
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks.
    pub fn as_slice(&self) -> &[IpNet] {
        &self.0
    }
}

/// Who may come in, by their address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessList {
    /// Those who may; none is everybody.
    pub allow: Networks,
    /// Those who may not, also where they are in `allow`.
    pub deny: Networks,
}

impl AccessList {
    /// True when this address may.
    pub fn admits(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || self.allow.contains(address)) && !self.deny.contains(address)
    }

    /// True when everybody may.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// A network of IPv4 addresses that is written as IPv6 (`::ffff:10.0.0.0/104`) as what it is:
/// addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6
        .network()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96))
        .and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::message::{AccessList, Networks};

    #[test]
    fn a_list_admits_whom_it_allows_and_does_not_deny() {
        let networks = |list: &[&str]| {
            Networks::new(
                list.iter()
                    .map(|network| network.parse().unwrap())
                    .collect(),
            )
        };
        let admits = |allow: &[&str], deny: &[&str], address: &str| {
            let list = AccessList {
                allow: networks(allow),
                deny: networks(deny),
            };
            list.admits(address.parse::<IpAddr>().unwrap())
        };
        assert!(admits(&[], &[], "192.0.2.1"));
        assert!(admits(&["192.0.2.0/24"], &[], "192.0.2.1"));
        assert!(!admits(&["192.0.2.0/24"], &[], "198.51.100.1"));
        assert!(!admits(&[], &["192.0.2.0/24"], "::ffff:192.0.2.1"));
        assert!(admits(&[], &["192.0.2.0/24"], "2001:db8::1"));
        // Whatever the order or the length: denied is denied.
        assert!(!admits(&["192.0.2.1/32"], &["192.0.0.0/16"], "192.0.2.1"));
        assert!(!admits(&["192.0.0.0/16"], &["192.0.2.1/32"], "192.0.2.1"));
        assert!(AccessList::default().is_open());
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_on_both_sides() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "10.1.2.3", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            let networks = Networks::new(vec![network.parse().unwrap()]);
            let address = address.parse().unwrap();
            assert_eq!(networks.contains(address), expected, "{address} {network}");
        }
        assert!(!Networks::default().contains([127, 0, 0, 1].into()));
    }

    #[test]
    fn networks_overlap_when_one_is_in_another() {
        let networks = |texts: &[&str]| {
            Networks::new(texts.iter().map(|text| text.parse().unwrap()).collect())
        };
        for (own, other, overlap) in [
            (&["10.0.0.0/8"][..], &["10.1.0.0/16"][..], true),
            (&["10.0.0.0/9"], &["10.128.0.0/9"], false),
            (&["10.0.0.0/8"], &["::ffff:10.9.0.0/112"], true),
            (&["0.0.0.0/0"], &["::/0"], false),
            (&["a::/16", "10.0.0.1/32"], &["b::/16", "10.0.0.0/30"], true),
            (&[], &["0.0.0.0/0"], false),
        ] {
            assert_eq!(networks(own).overlap(&networks(other)), overlap);
            assert_eq!(networks(other).overlap(&networks(own)), overlap);
        }
    }
}
