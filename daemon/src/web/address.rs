//! Who asks: the client's address, through the proxies that are trusted, and how much it may ask.

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use rocket::{
    Request,
    http::Status,
    request::{FromRequest, Outcome},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

/// Requests of one address without a good signature: so many a second, and so many at once.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("above 0");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("above 0");

/// The limit of each address, and the proxies whose word about an address is believed.
pub struct Addresses {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    proxies: Vec<IpNet>,
}

impl Addresses {
    /// Every address is fresh.
    #[must_use]
    pub fn new(proxies: Vec<IpNet>) -> Self {
        let quota = Quota::per_second(A_SECOND).allow_burst(AT_ONCE);
        Self { limiter: RateLimiter::keyed(quota), proxies }
    }

    /// Counts one more request of this address, and says whether it is still within its limit.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.limiter.check_key(&network(address)).is_ok()
    }

    /// Forgets addresses that were not heard of lately; to be called now and then.
    pub fn forget_old(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// How many addresses are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.limiter.len()
    }

    /// The nearest address that is not a trusted proxy's: each proxy appends who spoke to it, so only
    /// what a trusted one appended counts.
    fn client(&self, peer: IpAddr, forwarded: &str) -> IpAddr {
        let trusted = |address: IpAddr| self.proxies.iter().any(|proxy| proxy.contains(&address));
        let mut client = peer.to_canonical();
        for hop in forwarded.rsplit(',').map(str::trim) {
            if !trusted(client) {
                break;
            }
            let Ok(hop) = hop.parse::<IpAddr>() else { break };
            client = hop.to_canonical();
        }
        client
    }
}

/// One customer has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The address that a request comes from, through the proxies that are trusted.
#[must_use]
pub fn of(request: &Request<'_>) -> IpAddr {
    let peer = request.remote().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let forwarded: Vec<&str> = request.headers().get("X-Forwarded-For").collect();
    let addresses = request.rocket().state::<Arc<Addresses>>();
    addresses.map_or(peer, |addresses| addresses.client(peer, &forwarded.join(",")))
}

/// Whether the address that a request comes from may ask once more; where nothing limits it, it may.
#[must_use]
pub fn allows(request: &Request<'_>) -> bool {
    let addresses = request.rocket().state::<Arc<Addresses>>();
    addresses.is_none_or(|addresses| addresses.allows(of(request)))
}

/// The guard of unsigned routes: 429 for an address that asks too much.
pub struct Limited;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Limited {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        if allows(request) { Outcome::Success(Self) } else { Outcome::Error((Status::TooManyRequests, ())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(proxies: &[&str], peer: &str, forwarded: &str) -> String {
        let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        Addresses::new(proxies).client(peer.parse().unwrap(), forwarded).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_appended_is_believed() {
        let proxies = ["10.0.0.0/8"];
        assert_eq!(client_of(&proxies, "10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client_of(&proxies, "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), "1.2.3.4");
        assert_eq!(client_of(&proxies, "::ffff:10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client_of(&proxies, "5.5.5.5", "1.2.3.4"), "5.5.5.5", "not a proxy");
        assert_eq!(client_of(&[], "10.0.0.1", "1.2.3.4"), "10.0.0.1", "none is trusted");
        assert_eq!(client_of(&proxies, "10.0.0.1", "unknown"), "10.0.0.1");
    }

    #[test]
    fn one_address_is_limited_and_others_are_not() {
        let addresses = Addresses::new(Vec::new());
        let (one, neighbour, other) = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1");
        while addresses.allows(one.parse().unwrap()) {}
        assert!(!addresses.allows(neighbour.parse().unwrap()), "the same /64");
        assert!(addresses.allows(other.parse().unwrap()));
    }
}
