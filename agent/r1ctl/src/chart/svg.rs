//! A drawing as SVG.

use std::fmt::Write as _;

use super::{Anchor, Color, Item, Picture};

fn color(color: Color) -> String {
    format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)
}

fn points(points: &[(f32, f32)]) -> String {
    let pairs: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    pairs.join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn item(item: &Item) -> String {
    match item {
        Item::Area {
            points: corners,
            color: fill,
            opacity,
        } => format!(
            r#"<polygon points="{}" fill="{}" fill-opacity="{opacity}"/>"#,
            points(corners),
            color(*fill)
        ),
        Item::Line {
            points: way,
            color: stroke,
            width,
            dashed,
        } => format!(
            r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="{width}" stroke-linejoin="round"{}/>"#,
            points(way),
            color(*stroke),
            if *dashed { r#" stroke-dasharray="6 5""# } else { "" }
        ),
        Item::Text {
            at: (x, y),
            anchor,
            size,
            color: fill,
            bold,
            text,
        } => format!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{}" fill="{}"{}>{}</text>"#,
            match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            },
            color(*fill),
            if *bold { r#" font-weight="bold""# } else { "" },
            escape(text)
        ),
    }
}

/// The SVG text.
pub fn svg(picture: &Picture) -> String {
    let (width, height) = (picture.width, picture.height);
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif">"#
    );
    out.push_str("\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    for one in &picture.items {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", item(one));
    }
    out + "</svg>\n"
}
