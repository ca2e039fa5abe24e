//! The torrent file that every client is given.

/// 1 MiB of which no peer has a byte, with these tiers and the first tracker as `announce`.
pub(crate) fn with_trackers(tiers: &[Vec<String>]) -> Vec<u8> {
    let string = |text: &str| format!("{}:{text}", text.len());
    let tier = |tier: &Vec<String>| format!("l{}e", tier.iter().map(|url| string(url)).collect::<String>());
    let first = tiers.iter().flatten().next().map_or_else(String::new, |url| string(url));
    let list: String = tiers.iter().map(tier).collect();
    let pieces = "0123456789abcdefghij".repeat(4);
    format!(
        "d8:announce{first}13:announce-listl{list}e4:infod6:lengthi1048576e4:name8:measured\
         12:piece lengthi262144e6:pieces{}ee",
        string(&pieces)
    )
    .into_bytes()
}
