//! What the operators of three trackers pay for the torrents of one client: packets, and time of the trackers' processors.

use std::collections::BTreeMap;

use crate::bars::{Bars, Cell, Column, Group, Row};
use crate::canvas::Scale;
use crate::results::Results;

/// Of `operators.tsv`: a group for each protocol and number of peers, in the order of the file.
pub(crate) fn chart(results: &Results) -> Result<Bars, String> {
    let mut order = Vec::new();
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let (mut most_packets, mut most_seconds) = (1.0f64, 0.01f64);
    for row in results.rows() {
        let number = |column| row.number(column)?.ok_or_else(|| format!("{column} is empty"));
        let packets = number("packets_in")? + number("packets_out")?;
        let seconds = number("cpu_s")?;
        (most_packets, most_seconds) = (most_packets.max(packets), most_seconds.max(seconds));
        let torrents = number("torrents")?;
        let peers = number("peers")?;
        let name =
            format!("{}, {torrents} torrents with {peers} peers", row.text("protocol")?.to_uppercase());
        if !rows.contains_key(&name) {
            order.push(name.clone());
        }
        let cells = vec![
            Cell { value: Some(packets), label: format!("{packets}") },
            Cell { value: Some(seconds), label: format!("{seconds:.2} s") },
        ];
        rows.entry(name).or_default().push(Row { client: row.text("client")?.to_owned(), cells });
    }
    let groups: Vec<Group> =
        order.into_iter().map(|name| Group { rows: rows.remove(&name).unwrap_or_default(), name }).collect();
    let column = |heading, to, left, width| Column {
        heading,
        scale: Scale::Linear { to },
        left,
        width,
        tick: |_| String::new(),
    };
    let columns = vec![
        column("Packets at the trackers", most_packets, 158.0, 230.0),
        column("Processor time", most_seconds, 466.0, 100.0),
    ];
    let title = "What three trackers pay for the torrents of one client".to_owned();
    Ok(Bars { title, description: in_words(&groups), columns, groups })
}

fn in_words(groups: &[Group]) -> String {
    let mut text = "Packets that three trackers received and sent, and their processor time.".to_owned();
    for group in groups {
        let rows = group.rows.iter().map(|row| {
            let labels: Vec<&str> = row.cells.iter().map(|cell| cell.label.as_str()).collect();
            format!("{} {}", row.client, labels.join(" and "))
        });
        text = format!("{text} {}: {}.", group.name, rows.collect::<Vec<_>>().join("; "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_and_number_of_peers_is_a_group() {
        let table = "protocol\tclient\ttorrents\tpeers\tpackets_in\tpackets_out\tcpu_s\n\
            http\ttracker-failover\t1000\t50\t20\t10\t0.5\n\
            udp\ttracker-failover\t1000\t50\t4\t3\t0.1\n\
            http\trqbit\t1000\t50\t60\t30\t1.25\n";
        let chart = chart(&Results::parse(table).unwrap()).unwrap();
        let sizes: Vec<_> =
            chart.groups.iter().map(|group| (group.name.as_str(), group.rows.len())).collect();
        assert_eq!(
            sizes,
            [("HTTP, 1000 torrents with 50 peers", 2), ("UDP, 1000 torrents with 50 peers", 1)]
        );
        assert!(chart.description.contains("tracker-failover 30 and 0.50 s; rqbit 90 and 1.25 s."));
        let empty = Results::parse(&table.replace("\t0.1\n", "\t\n")).unwrap();
        assert!(super::chart(&empty).is_err());
    }
}
