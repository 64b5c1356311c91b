//! What is kept out of the log for the sake of those whose requests it tells of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Something that can be masked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mask {
    /// The query is left out, of the request's target and of the referer.
    Query,
    /// The client's address is cut to its network: /24 of version 4, /48 of version 6. A hash of
    /// the address is left out, because there are few enough addresses to try them all.
    ClientIp,
    /// The Referer field is written as if there were none.
    Referer,
    /// The User-Agent field is written as if there were none.
    UserAgent,
}

impl Mask {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Query, Self::ClientIp, Self::Referer, Self::UserAgent];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::ClientIp => "client_ip",
            Self::Referer => "referer",
            Self::UserAgent => "user_agent",
        }
    }
}

/// Which of them are masked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Masks {
    pub(crate) query: bool,
    pub(crate) client_ip: bool,
    pub(crate) referer: bool,
    pub(crate) user_agent: bool,
}

impl Masks {
    /// Makes the set of these.
    pub(crate) fn new(masks: &[Mask]) -> Self {
        let has = |mask| masks.contains(&mask);
        Self {
            query: has(Mask::Query),
            client_ip: has(Mask::ClientIp),
            referer: has(Mask::Referer),
            user_agent: has(Mask::UserAgent),
        }
    }

    /// The client's address as it is written.
    pub(crate) fn address(self, address: IpAddr) -> IpAddr {
        if self.client_ip {
            network(address.to_canonical())
        } else {
            address
        }
    }

    /// A query as it is written, if it is.
    pub(crate) fn query(self, query: Option<&[u8]>) -> Option<&[u8]> {
        query.filter(|_| !self.query)
    }

    /// A Referer field's value as it is written, if it is.
    pub(crate) fn referer(self, referer: Option<&[u8]>) -> Option<&[u8]> {
        let referer = referer.filter(|_| !self.referer)?;
        let end = match self.query {
            true => memchr::memchr2(b'?', b'#', referer).unwrap_or(referer.len()),
            false => referer.len(),
        };
        Some(&referer[..end])
    }

    /// A User-Agent field's value as it is written, if it is.
    pub(crate) fn user_agent(self, user_agent: Option<&[u8]>) -> Option<&[u8]> {
        user_agent.filter(|_| !self.user_agent)
    }
}

/// The network that an address is in: what a provider gives to many, or to one site.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::telemetry::access_log::mask::{Mask, Masks};

    #[test]
    fn an_address_is_cut_to_its_network() {
        let masks = Masks::new(&[Mask::ClientIp]);
        for (address, expected) in [
            ("192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("::1", "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(masks.address(address).to_string(), expected);
            assert_eq!(Masks::default().address(address), address);
        }
    }

    #[test]
    fn a_masked_query_is_cut_from_the_referer_as_well() {
        let masks = Masks::new(&[Mask::Query]);
        for (referer, expected) in [
            ("https://a.example/b?token=1#c", "https://a.example/b"),
            ("https://a.example/b#token=1", "https://a.example/b"),
            ("https://a.example/b", "https://a.example/b"),
            ("?", ""),
        ] {
            let written = masks.referer(Some(referer.as_bytes()));
            assert_eq!(written, Some(expected.as_bytes()));
            let written = Masks::default().referer(Some(referer.as_bytes()));
            assert_eq!(written, Some(referer.as_bytes()));
        }
        assert_eq!(masks.query(Some(b"a=1")), None);
        assert_eq!(Masks::default().query(Some(b"a=1")), Some(&b"a=1"[..]));
    }

    #[test]
    fn what_is_masked_whole_is_as_if_it_were_not_there() {
        let masks = Masks::new(&[Mask::Referer, Mask::UserAgent]);
        assert_eq!(masks.referer(Some(b"x")), None);
        assert_eq!(masks.user_agent(Some(b"x")), None);
    }
}
