//! The plot of goodput as SVG, which any browser shows: a panel for each link, its
//! share over the round-trip time, a line for each loss, dashed where there is
//! one lane. Both axes are logarithmic.

use std::fmt::Write as _;

use super::{Figure, LANES, LINKS, LOSSES, Link, ROUND_TRIPS, permille};

const PANEL: (f64, f64) = (320.0, 260.0);
/// Left, top, between panels, below.
const MARGIN: (f64, f64, f64, f64) = (64.0, 40.0, 48.0, 84.0);
/// Smallest share that is shown.
const LEAST: f64 = 1e-3;
/// For lines without loss first. They differ in lightness too.
const COLOURS: [&str; 4] = ["#1b4f8a", "#2a9d8f", "#e08214", "#b2182b"];
const SHARES: [(f64, &str); 4] = [(1.0, "100 %"), (1e-1, "10 %"), (1e-2, "1 %"), (1e-3, "0.1 %")];

/// The whole picture.
pub(super) fn svg(figures: &[Figure]) -> String {
    let (left, top, between, below) = MARGIN;
    let width = left + 2.0 * PANEL.0 + between + 24.0;
    let height = top + PANEL.1 + below;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <title>Goodput over round-trip time and loss</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (place, link) in (0_u8..).zip(LINKS) {
        let x = left + f64::from(place) * (PANEL.0 + between);
        panel(&mut out, (x, top), &link, figures);
    }
    for (n, (loss, colour)) in (0_u8..).zip(LOSSES.into_iter().zip(COLOURS)) {
        let x = left + 120.0 * f64::from(n);
        let y = height - 16.0;
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {:.1}h24\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{} % loss</text>",
            y - 4.0,
            x + 32.0,
            permille(loss)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\">solid: automatic lanes; dashed: 1 lane</text>",
        left + 500.0,
        height - 16.0
    );
    out.push_str("</svg>\n");
    out
}

/// One link: frame, axes, lines.
fn panel(out: &mut String, (left, top): (f64, f64), link: &Link, figures: &[Figure]) {
    let (width, height) = PANEL;
    let _ = writeln!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" \
         stroke=\"#888\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-weight=\"bold\">\
         share of {}</text>",
        left + width / 2.0,
        top - 12.0,
        link.name
    );
    for (share, name) in SHARES {
        let y = top + down(share);
        let _ = writeln!(
            out,
            "<path d=\"M{left} {y:.1}h{width}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    for ms in ROUND_TRIPS {
        let x = left + across(ms);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {:.1}v4\" stroke=\"#888\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ms} ms</text>",
            top + height,
            top + height + 18.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">round-trip time</text>",
        left + width / 2.0,
        top + height + 38.0
    );
    for (loss, colour) in LOSSES.into_iter().zip(COLOURS) {
        for lanes in LANES {
            let of_line = figures.iter().filter(|figure| {
                let cell = figure.cell;
                (cell.link.rate, cell.loss_permille) == (link.rate, loss)
                    && cell.lanes.most == lanes.most
            });
            let points = of_line.map(|figure| {
                (left + across(figure.cell.round_trip_ms), top + down(figure.share()))
            });
            line(out, &points.collect::<Vec<_>>(), colour, lanes.most == 1);
        }
    }
}

fn line(out: &mut String, points: &[(f64, f64)], colour: &str, dashed: bool) {
    let along: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dashes = if dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"{dashes}/>",
        along.join(" ")
    );
    for (x, y) in points {
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

/// Where a round-trip time stands, from the panel's left.
fn across(ms: u64) -> f64 {
    let log = |ms: u64| f64::from(u32::try_from(ms).unwrap_or(u32::MAX)).ln();
    let (first, last) = (log(ROUND_TRIPS[0]), log(ROUND_TRIPS[ROUND_TRIPS.len() - 1]));
    16.0 + (PANEL.0 - 32.0) * (log(ms) - first) / (last - first)
}

/// Where a share stands, from the panel's top.
fn down(share: f64) -> f64 {
    8.0 + (PANEL.1 - 16.0) * (share.clamp(LEAST, 1.0).ln() / LEAST.ln())
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;

    #[test]
    fn every_path_is_a_point_inside_its_panel_and_tags_are_closed() {
        let shares = [2.0, 1.0, 0.5, 0.01, 1e-9];
        let figures: Vec<Figure> = Cell::all()
            .into_iter()
            .zip(shares.into_iter().cycle())
            .map(|(cell, share)| Figure { cell, goodput: share * 12_500_000.0, lanes: 1 })
            .collect();
        let svg = svg(&figures);
        assert_eq!(svg.matches("<circle").count(), figures.len());
        assert_eq!(svg.matches("<polyline").count(), 16);
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
        for (at, limit) in [("cy=\"", MARGIN.1 + PANEL.1), ("cx=\"", 64.0 + 640.0 + 48.0)] {
            for rest in svg.split(at).skip(1) {
                let value: f64 = rest.split('"').next().unwrap().parse().unwrap();
                assert!(value >= MARGIN.1 && value <= limit, "{at}{value}");
            }
        }
    }
}
