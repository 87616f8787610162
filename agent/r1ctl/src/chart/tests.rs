use super::*;

fn picture() -> Picture {
    let panel = Panel {
        title: "supply & <cap>",
        unit: Unit::Plain,
        years: vec![0.0, 0.5, 1.0],
        series: vec![
            Series {
                name: "genesis",
                values: vec![1.0, 1.0, 1.0],
            },
            Series {
                name: "node deeds",
                values: vec![0.0, 500_000.0, 1_000_000.0],
            },
        ],
        stacked: true,
        limit: Some(("cap", 1_200_000.0)),
    };
    let mut picture = Picture::new(640, 400);
    panel.draw(&mut picture, (0.0, 0.0, 640.0, 400.0));
    picture
}

#[test]
fn the_svg_is_well_formed_and_names_every_series() {
    let text = svg(&picture());
    for part in [
        "genesis",
        "node deeds",
        "cap",
        "supply &amp; &lt;cap&gt;",
        "year 1",
        "1M",
    ] {
        assert!(text.contains(part), "{part} is missing");
    }
    // Every element is closed: by itself, or as a text.
    let open = text.matches("<text").count();
    assert_eq!(open, text.matches("</text>").count());
    let shapes = text.matches("<poly").count() + 1;
    assert_eq!(text.matches("/>").count(), shapes);
    assert!(!text.contains("NaN"));
}

#[test]
fn the_png_has_the_pictures_size_and_its_colours() {
    let bytes = png(&picture()).unwrap();
    let read = tiny_skia::Pixmap::decode_png(&bytes).unwrap();
    assert_eq!((read.width(), read.height()), (640, 400));
    let close = |a: u8, b: u8| a.abs_diff(b) < 45;
    for Color(red, green, blue) in [PALETTE[1], INK, GREY] {
        let found = read
            .pixels()
            .iter()
            .filter(|pixel| {
                close(pixel.red(), red) && close(pixel.green(), green) && close(pixel.blue(), blue)
            })
            .count();
        assert!(found > 50, "{found} pixels of {red} {green} {blue}");
    }
}

#[test]
fn ticks_are_short() {
    for (value, text) in [
        (0.0, "0"),
        (0.25, "0.25"),
        (9_000.0, "9000"),
        (25_000.0, "25k"),
        (2_500_000.0, "2.5M"),
    ] {
        assert_eq!(panel::tick(value, Unit::Plain), text);
    }
    assert_eq!(panel::tick(0.5, Unit::Price), "0.50");
}
