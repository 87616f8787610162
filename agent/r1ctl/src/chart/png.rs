//! A drawing as PNG.

use anyhow::{Context as _, Result};
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};

use super::{Anchor, Color, Item, Picture, stroke_font};

/// Thickness of letters as a part of their em.
const THIN: f32 = 0.085;
/// The same of headlines.
const BOLD: f32 = 0.125;

fn paint(color: Color, opacity: f32) -> Paint<'static> {
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(color.0, color.1, color.2, alpha);
    paint
}

fn path(points: &[(f32, f32)], closed: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let (first, rest) = points.split_first()?;
    builder.move_to(first.0, first.1);
    rest.iter().for_each(|(x, y)| builder.line_to(*x, *y));
    if closed {
        builder.close();
    }
    builder.finish()
}

fn stroke(width: f32, dashed: bool) -> Stroke {
    Stroke {
        width,
        line_cap: if dashed { LineCap::Butt } else { LineCap::Round },
        line_join: LineJoin::Round,
        dash: if dashed {
            StrokeDash::new(vec![6.0, 5.0], 0.0)
        } else {
            None
        },
        ..Stroke::default()
    }
}

fn draw(pixmap: &mut Pixmap, item: &Item) {
    let still = Transform::identity();
    match item {
        Item::Area {
            points,
            color,
            opacity,
        } => {
            if let Some(path) = path(points, true) {
                pixmap.fill_path(&path, &paint(*color, *opacity), FillRule::Winding, still, None);
            }
        }
        Item::Line {
            points,
            color,
            width,
            dashed,
        } => {
            if let Some(path) = path(points, false) {
                pixmap.stroke_path(&path, &paint(*color, 1.0), &stroke(*width, *dashed), still, None);
            }
        }
        Item::Text {
            at: (x, y),
            anchor,
            size,
            color,
            bold,
            text,
        } => {
            let width = stroke_font::width(text, *size);
            let left = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            let thickness = size * if *bold { BOLD } else { THIN };
            for line in stroke_font::strokes(text, *size, (left, *y)) {
                if let Some(path) = path(&line, false) {
                    pixmap.stroke_path(&path, &paint(*color, 1.0), &stroke(thickness, false), still, None);
                }
            }
        }
    }
}

/// The bytes of a PNG file.
///
/// # Errors
/// If the picture has no size, or cannot be encoded.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    let mut pixmap = Pixmap::new(picture.width, picture.height).context("a picture without size")?;
    pixmap.fill(tiny_skia::Color::WHITE);
    for item in &picture.items {
        draw(&mut pixmap, item);
    }
    pixmap.encode_png().context("the picture does not encode as PNG")
}
