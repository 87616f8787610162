//! Letters as strokes, so that a picture needs no font of the system.
//!
//! A glyph is some polylines; a point is two hexadecimal digits, x and y, on a grid on which the base line is at 3, small
//! letters reach to 7, capitals and digits to 9, and descenders to 0.

/// Grid units of an em.
const EM: f32 = 8.4;
/// Height of the base line on the grid.
const BASE: u32 = 3;
/// Room between two glyphs, grid units.
const GAP: f32 = 1.7;
/// Width of a blank, grid units.
const BLANK: f32 = 2.2;
/// What stands for a character that is not known: a box.
const BOX: &str = "0309494303";

fn small(character: char) -> Option<&'static str> {
    Some(match character {
        'a' => "4743 4637170604133344",
        'b' => "0903 0617374644331304",
        'c' => "4637170604133344",
        'd' => "4943 4637170604133344",
        'e' => "05454637170604133344",
        'f' => "39291813 0737",
        'g' => "4742311102 4637170604133344",
        'h' => "0903 0617374643",
        'i' => "0703 0809",
        'j' => "171100 1819",
        'k' => "0903 0537 1643",
        'l' => "0903",
        'm' => "0703 0617273633 3647576663",
        'n' => "0703 0617374643",
        'o' => "173746443313040617",
        'p' => "0700 0617374644331304",
        'q' => "4740 4637170604133344",
        'r' => "0703 06172737",
        's' => "46371706153544331304",
        't' => "19142333 0737",
        'u' => "0704133344 4743",
        'v' => "072347",
        'w' => "0713365367",
        'x' => "0743 4703",
        'y' => "0723 471100",
        'z' => "07470343",
        _ => return None,
    })
}

fn capital(character: char) -> Option<&'static str> {
    Some(match character {
        'A' => "033963 1555",
        'B' => "0903 093948473606 3645443303",
        'C' => "5849190804134354",
        'D' => "0903 093958543303",
        'E' => "49090343 0636",
        'F' => "490903 0636",
        'G' => "58491908041343545636",
        'H' => "0903 5953 0656",
        'I' => "0903",
        'J' => "3934231304",
        'K' => "0903 4905 1643",
        'L' => "090343",
        'M' => "0309356963",
        'N' => "03095359",
        'O' => "194958544313040819",
        'P' => "0903 093948473606",
        'Q' => "194958544313040819 3553",
        'R' => "0903 093948473606 2643",
        'S' => "584919080716465554431304",
        'T' => "0969 3933",
        'U' => "090413435459",
        'V' => "093369",
        'W' => "0923476389",
        'X' => "0953 5903",
        'Y' => "093669 3633",
        'Z' => "09590353",
        _ => return None,
    })
}

fn sign(character: char) -> Option<&'static str> {
    Some(match character {
        '0' => "193948443313040819",
        '1' => "072923",
        '2' => "08193948460343",
        '3' => "08193948473616 364544331304",
        '4' => "33390545",
        '5' => "490906364544331304",
        '6' => "483919080413334445361605",
        '7' => "094913",
        '8' => "16070819394847361605041333444536",
        '9' => "041333444839190807163647",
        '.' => "0304",
        ',' => "1402",
        ':' => "0304 0607",
        ';' => "1402 1617",
        '-' => "0535",
        '+' => "0545 2723",
        '%' => "0369 0709292707 4345656343",
        '/' => "0249",
        '(' => "29171523",
        ')' => "09171503",
        '\'' => "0907",
        '=' => "0444 0646",
        _ => return None,
    })
}

/// True if a character has strokes, or is a blank.
#[cfg(test)]
pub fn knows(character: char) -> bool {
    character == ' ' || glyph(character) != glyph('\u{2603}')
}

/// The polylines of a character on the grid.
fn glyph(character: char) -> Vec<Vec<(u32, u32)>> {
    let found = small(character)
        .or_else(|| capital(character))
        .or_else(|| sign(character));
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    let line = |text: &str| {
        let pairs = text.as_bytes().chunks_exact(2);
        pairs.map(|pair| (digit(pair[0]), digit(pair[1]))).collect()
    };
    found.unwrap_or(BOX).split(' ').map(line).collect()
}

fn advance(character: char) -> f32 {
    if character == ' ' {
        return BLANK + GAP;
    }
    let widest = glyph(character).into_iter().flatten().map(|(x, _)| x).max();
    widest.unwrap_or(0) as f32 + GAP
}

/// How wide a text of a size is.
pub fn width(text: &str, size: f32) -> f32 {
    let units: f32 = text.chars().map(advance).sum();
    (units - GAP).max(0.0) * size / EM
}

/// The strokes of a text whose base line begins at a point.
pub fn strokes(text: &str, size: f32, (left, base): (f32, f32)) -> Vec<Vec<(f32, f32)>> {
    let unit = size / EM;
    let mut at = left;
    let mut lines = Vec::new();
    for character in text.chars() {
        if character != ' ' {
            let place =
                |(x, y): &(u32, u32)| (at + *x as f32 * unit, base - (*y as f32 - BASE as f32) * unit);
            lines.extend(
                glyph(character)
                    .iter()
                    .map(|line| line.iter().map(place).collect::<Vec<_>>()),
            );
        }
        at += advance(character) * unit;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_charts_use_has_strokes_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for character in ('a'..='z')
            .chain('A'..='Z')
            .chain('0'..='9')
            .chain(".,:;-+%/()'=".chars())
        {
            let lines = glyph(character);
            assert!(lines.iter().all(|line| line.len() >= 2), "{character}");
            assert_ne!(lines, glyph('\u{2603}'), "{character}");
            seen.insert(lines);
        }
        // l and I are alike, as in many fonts.
        assert_eq!(seen.len(), 26 + 26 + 10 + 12 - 1);
    }

    #[test]
    fn a_longer_text_is_wider_and_a_blank_has_no_stroke() {
        assert!(width("mm", 10.0) > width("m", 10.0));
        assert_eq!(strokes(" ", 10.0, (0.0, 0.0)), Vec::<Vec<(f32, f32)>>::new());
    }
}
