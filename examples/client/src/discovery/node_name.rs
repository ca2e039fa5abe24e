//! Where a node of the DHT is, as users and files name it.

use std::str::FromStr;

/// `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeName(pub(crate) String);

impl FromStr for NodeName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("expected a host and a port, such as router.example.org:6881"),
        }
    }
}
