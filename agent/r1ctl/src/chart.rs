//! Charts: one drawing, written as SVG or as PNG. No system font is needed for either.

mod panel;
mod png;
mod stroke_font;
mod svg;

pub use panel::{Panel, Series, Unit};
pub use png::png;
#[cfg(test)]
pub use stroke_font::{knows, width};
pub use svg::svg;

/// A colour, red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// Text and axes.
pub const INK: Color = Color(40, 44, 52);
/// What stays behind.
pub const GREY: Color = Color(205, 208, 214);
/// Colours that people with any colour vision tell apart (Okabe and Ito).
pub const PALETTE: [Color; 5] = [
    Color(0, 114, 178),
    Color(230, 159, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(213, 94, 0),
];

/// Where a text stands against its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The point is at its left end.
    Start,
    /// The point is in its middle.
    Middle,
    /// The point is at its right end.
    End,
}

/// One thing that is drawn, in points from the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A filled polygon.
    Area {
        /// Its corners.
        points: Vec<(f32, f32)>,
        /// Its colour.
        color: Color,
        /// How much it covers, 0 to 1.
        opacity: f32,
    },
    /// A line through points.
    Line {
        /// The points.
        points: Vec<(f32, f32)>,
        /// Its colour.
        color: Color,
        /// Its width.
        width: f32,
        /// True for dashes.
        dashed: bool,
    },
    /// A text on its base line.
    Text {
        /// Where.
        at: (f32, f32),
        /// Which end of it.
        anchor: Anchor,
        /// Height of an em.
        size: f32,
        /// Its colour.
        color: Color,
        /// True for headlines.
        bold: bool,
        /// The text.
        text: String,
    },
}

/// A drawing on white.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Width, points.
    pub width: u32,
    /// Height, points.
    pub height: u32,
    /// What is drawn, from the back to the front.
    pub items: Vec<Item>,
}

impl Picture {
    /// Nothing yet.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            items: Vec::new(),
        }
    }

    /// Adds a text in ink.
    pub fn text(&mut self, at: (f32, f32), anchor: Anchor, size: f32, bold: bool, text: impl Into<String>) {
        self.items.push(Item::Text {
            at,
            anchor,
            size,
            color: INK,
            bold,
            text: text.into(),
        });
    }

    /// Adds a line.
    pub fn line(&mut self, points: Vec<(f32, f32)>, color: Color, width: f32) {
        self.items.push(Item::Line {
            points,
            color,
            width,
            dashed: false,
        });
    }
}

#[cfg(test)]
mod tests;
