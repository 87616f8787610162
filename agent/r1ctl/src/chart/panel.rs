//! A panel: axes, series over time, a legend.

use super::{Anchor, Color, GREY, INK, Item, PALETTE, Picture};

/// Sizes of text, points.
const TITLE: f32 = 19.0;
const LABEL: f32 = 14.0;
/// Room left of the axis for its labels, points.
const LEFT: f32 = 62.0;
/// Room right of the axis: half of the last year's label, points.
const RIGHT: f32 = 30.0;
/// Room above the axis for title and legend, points.
const TOP: f32 = 66.0;
/// Room below the axis for the years, points.
const BOTTOM: f32 = 30.0;
/// About how many steps the upright axis has.
const STEPS: f64 = 5.0;

/// One series, a value per sample.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: &'static str,
    /// Its values.
    pub values: Vec<f64>,
}

/// How values are written at the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As they are, with `k` and `M`.
    Plain,
    /// With a dollar's decimals.
    Price,
}

/// One panel of a picture.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Its headline.
    pub title: &'static str,
    /// How values are written.
    pub unit: Unit,
    /// The time of each sample, years.
    pub years: Vec<f64>,
    /// The series.
    pub series: Vec<Series>,
    /// True if the series lie on each other.
    pub stacked: bool,
    /// A line that names a limit.
    pub limit: Option<(&'static str, f64)>,
}

/// A step of 1, 2 or 5 times a power of ten, of which about [`STEPS`] reach to `most`.
fn step(most: f64) -> f64 {
    let rough = (most / STEPS).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let wanted = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough);
    wanted.unwrap_or(10.0) * power
}

/// A value at the axis: `2M`, `500k`, `0.25`.
pub fn tick(value: f64, unit: Unit) -> String {
    let trim = |text: String| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    match (unit, value) {
        (_, value) if value.abs() >= 1e6 => trim(format!("{:.2}", value / 1e6)) + "M",
        (_, value) if value.abs() >= 1e4 => trim(format!("{:.1}", value / 1e3)) + "k",
        (Unit::Price, value) => format!("{value:.2}"),
        (Unit::Plain, value) => trim(format!("{value:.2}")),
    }
}

impl Panel {
    /// The series as they are drawn: from what to what, for each sample.
    fn bands(&self) -> Vec<Vec<(f64, f64)>> {
        let mut below = vec![0.0; self.years.len()];
        let mut bands = Vec::new();
        for series in &self.series {
            let band = series.values.iter().zip(&below);
            let band: Vec<(f64, f64)> = band
                .map(|(value, below)| {
                    if self.stacked {
                        (*below, below + value)
                    } else {
                        (0.0, *value)
                    }
                })
                .collect();
            if self.stacked {
                below = band.iter().map(|(_, top)| *top).collect();
            }
            bands.push(band);
        }
        bands
    }

    /// Draws it into a part of a picture: left, top, width, height.
    pub fn draw(&self, picture: &mut Picture, (left, top, width, height): (f32, f32, f32, f32)) {
        let bands = self.bands();
        let highest = bands.iter().flatten().map(|(_, top)| *top).fold(0.0, f64::max);
        let most = self
            .limit
            .map_or(highest, |(_, limit)| highest.max(limit))
            .max(1e-6);
        let step = step(most);
        let end = (most / step * 1.001).ceil() * step;
        let frame = Frame {
            left: left + LEFT,
            top: top + TOP,
            width: width - LEFT - RIGHT,
            height: height - TOP - BOTTOM,
            years: self.years.last().copied().unwrap_or(1.0).max(1e-6),
            end,
        };
        picture.text((left + LEFT, top + 20.0), Anchor::Start, TITLE, true, self.title);
        self.legend(picture, left + LEFT, top + 45.0);
        frame.axes(picture, step, self.unit);
        for (index, band) in bands.iter().enumerate() {
            self.series(picture, &frame, band, PALETTE[index % PALETTE.len()]);
        }
        if let Some((name, value)) = self.limit {
            let y = frame.y(value);
            picture.items.push(Item::Line {
                points: vec![(frame.left, y), (frame.left + frame.width, y)],
                color: INK,
                width: 1.5,
                dashed: true,
            });
            picture.text((frame.left + 6.0, y - 6.0), Anchor::Start, LABEL, false, name);
        }
    }

    fn series(&self, picture: &mut Picture, frame: &Frame, band: &[(f64, f64)], color: Color) {
        let upper = self
            .years
            .iter()
            .zip(band)
            .map(|(year, (_, top))| frame.point(*year, *top));
        let upper: Vec<(f32, f32)> = upper.collect();
        if self.stacked {
            let lower = self.years.iter().zip(band).rev();
            let lower = lower.map(|(year, (below, _))| frame.point(*year, *below));
            picture.items.push(Item::Area {
                points: upper.iter().copied().chain(lower).collect(),
                color,
                opacity: 0.85,
            });
        }
        picture.line(upper, color, if self.stacked { 1.0 } else { 2.5 });
    }

    fn legend(&self, picture: &mut Picture, left: f32, y: f32) {
        let mut x = left;
        if self.series.len() < 2 {
            return;
        }
        for (index, series) in self.series.iter().enumerate() {
            let square = [
                (x, y - 11.0),
                (x + 12.0, y - 11.0),
                (x + 12.0, y + 1.0),
                (x, y + 1.0),
            ];
            picture.items.push(Item::Area {
                points: square.to_vec(),
                color: PALETTE[index % PALETTE.len()],
                opacity: 1.0,
            });
            picture.text((x + 17.0, y), Anchor::Start, LABEL, false, series.name);
            x += 17.0 + super::stroke_font::width(series.name, LABEL) + 20.0;
        }
    }
}

/// Where the axes are, and how values become points.
struct Frame {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
    years: f64,
    end: f64,
}

impl Frame {
    fn y(&self, value: f64) -> f32 {
        self.top + self.height * (1.0 - (value / self.end) as f32)
    }

    fn point(&self, year: f64, value: f64) -> (f32, f32) {
        (self.left + self.width * (year / self.years) as f32, self.y(value))
    }

    fn axes(&self, picture: &mut Picture, step: f64, unit: Unit) {
        let right = self.left + self.width;
        let count = (self.end / step).round() as u32;
        for index in 0..=count {
            let value = f64::from(index) * step;
            let y = self.y(value);
            let color = if index == 0 { INK } else { GREY };
            picture.line(vec![(self.left, y), (right, y)], color, 1.0);
            picture.text(
                (self.left - 8.0, y + 5.0),
                Anchor::End,
                LABEL,
                false,
                tick(value, unit),
            );
        }
        let years = self.years.round().max(1.0) as u32;
        for year in 0..=years {
            let (x, y) = self.point(f64::from(year).min(self.years), 0.0);
            picture.line(vec![(x, y), (x, y + 5.0)], INK, 1.0);
            let text = if year == 0 {
                "start".to_owned()
            } else {
                format!("year {year}")
            };
            picture.text((x, y + 22.0), Anchor::Middle, LABEL, false, text);
        }
    }
}
