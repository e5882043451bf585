use super::*;

fn series(quantity: Quantity, label: &str, values: &[u64]) -> Series {
    let points = values.iter().zip(0..).map(|(value, index)| Point {
        at_ns: index * 1_000_000_000,
        value: *value,
    });
    Series {
        quantity,
        label: label.into(),
        limit: false,
        points: points.collect(),
    }
}

#[test]
fn series_of_one_quantity_share_a_chart_with_units_that_read_well() {
    let recording = Recording {
        series: vec![
            series(Quantity::Rtt, "flow 1", &[20_000_000, 35_000_000]),
            series(Quantity::Goodput, "flow 1", &[1_000_000, 9_000_000]),
            series(Quantity::Goodput, "flow 2", &[2_000_000, 0]),
            series(Quantity::Queue, "forward", &[]),
        ],
    };
    let charts = charts_of(&recording);
    let labels: Vec<_> = charts
        .iter()
        .map(|chart| (chart.y_label.as_str(), chart.lines.len()))
        .collect();
    assert_eq!(labels, [("goodput [Mbit/s]", 2), ("RTT [ms]", 1)]);
    assert_eq!(charts[1].lines[0].points[1].1, 35.0);
    assert_eq!(charts[0].x_label, "time [ns]".replace("ns", "ms"));
}

#[test]
fn a_limit_alone_makes_no_chart() {
    let mut limit = series(Quantity::Goodput, "limit", &[5, 5]);
    limit.limit = true;
    let recording = Recording {
        series: vec![limit],
    };
    assert!(charts_of(&recording).is_empty());
}

#[test]
fn a_chart_names_axes_units_and_lines() {
    let recording = Recording {
        series: vec![
            series(Quantity::Goodput, "flow <1>", &[0, 80_000_000, 90_000_000]),
            Series {
                limit: true,
                ..series(Quantity::Goodput, "limit", &[95_000_000, 95_000_000])
            },
        ],
    };
    let svg = charts_of(&recording)[0].svg().unwrap();
    for wanted in [
        "time [s]",
        "goodput [Mbit/s]",
        "flow &lt;1&gt;",
        "limit",
        "<polyline",
    ] {
        assert!(svg.contains(wanted), "no {wanted} in {svg}");
    }
}

#[test]
fn charts_without_extent_are_drawn_all_the_same() {
    for values in [&[0_u64][..], &[7], &[7, 7], &[u64::MAX, 0]] {
        let recording = Recording {
            series: vec![series(Quantity::Losses, "flow", values)],
        };
        assert!(charts_of(&recording)[0].svg().is_ok(), "{values:?}");
    }
    let empty = Distribution {
        name: "goodput".into(),
        unit: Unit::BitsPerSecond,
        share_of: "share of seeds".into(),
        groups: vec![("none".into(), Vec::new())],
    };
    assert!(empty.chart().svg().is_ok());
}

#[test]
fn fewer_points_keep_every_peak_and_the_ends() {
    let mut values = vec![10; 10_000];
    values[4_321] = 99;
    values[7_777] = 1;
    let points = series(Quantity::Rtt, "flow", &values).points;
    let kept = thin::thin(&points, 100);
    assert!(kept.len() <= 104, "{}", kept.len());
    assert!(kept.iter().any(|point| point.value == 99));
    assert!(kept.iter().any(|point| point.value == 1));
    assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
    assert!(kept.is_sorted_by_key(|point| point.at_ns));
}

#[test]
fn a_page_makes_no_request_and_shows_text_as_text() {
    let mut page = Page::new("a <b>");
    page.table(&Table {
        head: vec!["<i>".into()],
        rows: vec![vec!["7 ms".into(), "FAILED & \"lost\"".into()]],
    });
    let recording = Recording {
        series: vec![series(Quantity::Rtt, "flow", &[1, 2])],
    };
    page.chart(&charts_of(&recording)[0]).unwrap();
    page.preformatted("file", "x < y");
    let html = page.html();
    for wanted in [
        "a &lt;b&gt;",
        "<th>&lt;i&gt;</th>",
        "class=\"failed\"",
        "x &lt; y",
    ] {
        assert!(html.contains(wanted), "no {wanted}");
    }
    let free = html.replace("http://www.w3.org/2000/svg", "");
    for request in ["http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!free.contains(request), "{request} in the page");
    }
}

#[test]
fn names_of_quantities_round_trip() {
    for quantity in Quantity::ALL {
        assert_eq!(Quantity::from_name(quantity.name()), Some(quantity));
    }
    assert_eq!(Quantity::from_name("goodputs"), None);
}
