//! The README's chart: how soon each client has its first peers, and how many announces all trackers heard for that.

use crate::bars::{Bars, Cell, Column, Group, OURS, Row};
use crate::canvas::Scale;
use crate::results::Results;

/// The scenarios that a user knows, and what they are called.
const SCENARIOS: [(&str, &str); 5] = [
    ("alive", "All trackers are alive"),
    ("refuse", "Two of three refuse connections"),
    ("mute", "Two of three are silent"),
    ("mid-run-mute", "The tracker in use falls silent"),
    ("empty", "The first two know no peers"),
];

const CLIENTS: [&str; 5] = [OURS, "libtorrent", "Transmission", "aria2", "rqbit"];

/// The order of a torrent in the chart: each tracker in a tier of its own, as public torrents mostly have them.
const TIERS: &str = "three";

/// Of `clients.tsv`. Scenarios and clients that it hasn't are left out.
pub(crate) fn chart(results: &Results) -> Result<Bars, String> {
    let cap: f64 = results.key("cap")?.trim_end_matches(" s").parse().map_err(|_| "the cap is no number")?;
    let none = format!("none in {cap} s");
    let mut groups = Vec::new();
    let (mut times, mut most_heard) = (vec![cap], 1.0f64);
    for (scenario, name) in SCENARIOS {
        let mut rows = Vec::new();
        for client in CLIENTS {
            for row in results.rows() {
                let is_it = row.text("scenario")? == scenario && row.text("tiers")? == TIERS;
                if !is_it || row.text("client")? != client {
                    continue;
                }
                let seconds = row.number("seconds")?;
                times.extend(seconds);
                let heard = row.number("announces_dead")?.ok_or("announces_dead is empty")?
                    + row.number("announces_living")?.ok_or("announces_living is empty")?;
                most_heard = most_heard.max(heard);
                let label = seconds.map_or_else(|| none.clone(), written);
                let time = Cell { value: seconds, label };
                rows.push(Row {
                    client: client.to_owned(),
                    cells: vec![time, Cell { value: Some(heard), label: format!("{heard}") }],
                });
            }
        }
        if !rows.is_empty() {
            groups.push(Group { name: name.to_owned(), rows });
        }
    }
    let columns = vec![
        Column {
            heading: "Until the first peers",
            scale: Scale::log(times),
            left: 158.0,
            width: 262.0,
            tick,
        },
        Column {
            heading: "Announces heard",
            scale: Scale::Linear { to: most_heard },
            left: 474.0,
            width: 130.0,
            tick,
        },
    ];
    let title = "Seconds to the first peers, and announces that all trackers heard".to_owned();
    Ok(Bars { title, description: in_words(&groups), columns, groups })
}

/// The result as a text, which is also the README's alternative to the picture.
fn in_words(groups: &[Group]) -> String {
    let mut text =
        "Time from a client's first packet until a tracker has answered with peers, and announces that all trackers \
         together heard."
            .to_owned();
    for group in groups {
        let rows = group.rows.iter().map(|row| {
            let [time, heard] = &row.cells[..] else { unreachable!("two columns") };
            format!("{} {}, {} heard", row.client, time.label, heard.label)
        });
        text = format!("{text} {}: {}.", group.name, rows.collect::<Vec<_>>().join("; "));
    }
    text
}

/// A time as people write it, with two digits.
fn written(seconds: f64) -> String {
    match seconds {
        ..0.0995 => format!("{:.0} ms", seconds * 1000.0),
        ..0.995 => format!("{seconds:.2} s"),
        ..9.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A power of ten of seconds.
fn tick(seconds: f64) -> String {
    if seconds < 0.05 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# cap: 75\n\
        scenario\ttiers\tclient\tseconds\tannounces_dead\tannounces_living\n\
        mute\tthree\taria2\t\t2\t0\n\
        mute\tone\taria2\t0.5\t2\t1\n\
        mute\tthree\ttracker-failover\t0.0114\t0\t1\n";

    #[test]
    fn the_crate_comes_first_and_no_answer_is_a_bar_to_the_edge() {
        let chart = chart(&Results::parse(TABLE).unwrap()).unwrap();
        let [group] = &chart.groups[..] else { panic!("{:?}", chart.groups) };
        let shown: Vec<_> = group.rows.iter().map(|row| (row.client.as_str(), row.cells[0].value)).collect();
        assert_eq!(shown, [("tracker-failover", Some(0.0114)), ("aria2", None)]);
        let words = "Two of three are silent: tracker-failover 11 ms, 1 heard; aria2 none in 75 s, 2 heard.";
        assert!(chart.description.ends_with(words), "{}", chart.description);
        let drawn = chart.draw()[0].1.to_string();
        assert!(drawn.contains("role=\"img\"") && drawn.contains("none in 75 s"), "{drawn}");
        assert!(drawn.contains("<title") && drawn.contains("<desc"), "{drawn}");
    }

    #[test]
    fn times_have_two_digits() {
        let all = [0.005, 0.0123, 0.0994, 0.25, 0.996, 3.01, 9.96, 60.2].map(written);
        assert_eq!(all, ["5 ms", "12 ms", "99 ms", "0.25 s", "1.0 s", "3.0 s", "10 s", "60 s"]);
        assert_eq!([0.001, 0.01, 0.1, 1.0, 100.0].map(tick), ["1 ms", "10 ms", "0.1 s", "1 s", "100 s"]);
    }
}
