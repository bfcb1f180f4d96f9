//! The colours of a program's output: what SGR (ECMA-48, 8.3.117) sets, kept small, and fitted to the terminal.

use crate::theme::Colours;
use ratatui::style::{Color, Modifier, Style};
use std::fmt::Write;

/// A colour as it was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tint {
    #[default]
    Own,
    Indexed(u8),
    Rgb(u8, u8, u8),
}

const BOLD: u8 = 1;
const DIM: u8 = 2;
const ITALIC: u8 = 4;
const UNDERLINED: u8 = 8;
const REVERSED: u8 = 16;
const CROSSED: u8 = 32;

/// Every attribute that is kept, with its code. Blinking and concealing are not.
const ATTRIBUTES: [(u8, u16, Modifier); 6] = [
    (BOLD, 1, Modifier::BOLD),
    (DIM, 2, Modifier::DIM),
    (ITALIC, 3, Modifier::ITALIC),
    (UNDERLINED, 4, Modifier::UNDERLINED),
    (REVERSED, 7, Modifier::REVERSED),
    (CROSSED, 9, Modifier::CROSSED_OUT),
];

/// What SGR has set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sgr {
    front: Tint,
    back: Tint,
    attributes: u8,
}

impl Sgr {
    /// Takes in the parameters of one sequence, each with its subparameters.
    pub fn apply<'a>(&mut self, parameters: impl Iterator<Item = &'a [u16]>) {
        let mut parameters = parameters;
        while let Some(parameter) = parameters.next() {
            let code = parameter.first().copied().unwrap_or(0);
            match code {
                0 => *self = Self::default(),
                22 => self.attributes &= !(BOLD | DIM),
                23 => self.attributes &= !ITALIC,
                24 => self.attributes &= !UNDERLINED,
                27 => self.attributes &= !REVERSED,
                29 => self.attributes &= !CROSSED,
                // `4:0` is none, `4:3` a curly one.
                4 if parameter.get(1) == Some(&0) => self.attributes &= !UNDERLINED,
                21 => self.attributes |= UNDERLINED,
                30..=37 => self.front = indexed(code - 30),
                40..=47 => self.back = indexed(code - 40),
                90..=97 => self.front = indexed(code - 90 + 8),
                100..=107 => self.back = indexed(code - 100 + 8),
                39 => self.front = Tint::Own,
                49 => self.back = Tint::Own,
                38 => self.front = extended(parameter, &mut parameters).unwrap_or(self.front),
                48 => self.back = extended(parameter, &mut parameters).unwrap_or(self.back),
                // Of an underline: not kept, but its parameters are not to be taken for others.
                58 => drop(extended(parameter, &mut parameters)),
                _ => {
                    let known = ATTRIBUTES.iter().find(|(_, known, _)| *known == code);
                    self.attributes |= known.map_or(0, |(bit, ..)| *bit);
                }
            }
        }
    }

    /// Writes a sequence that sets exactly this, whatever was set before.
    pub fn write(&self, out: &mut String) {
        out.push_str("\x1b[0");
        for (bit, code, _) in ATTRIBUTES {
            if self.attributes & bit != 0 {
                // A String takes everything.
                let _ = write!(out, ";{code}");
            }
        }
        for (tint, code) in [(self.front, 38), (self.back, 48)] {
            let _ = match tint {
                Tint::Own => Ok(()),
                Tint::Indexed(number) => write!(out, ";{code};5;{number}"),
                Tint::Rgb(red, green, blue) => write!(out, ";{code};2;{red};{green};{blue}"),
            };
        }
        out.push('m');
    }

    /// Reads what [`Sgr::write`] wrote, between `ESC [` and `m`.
    #[must_use]
    pub fn read(codes: &str) -> Self {
        let numbers: Vec<[u16; 1]> = codes.split(';').map(|code| [code.parse().unwrap_or(0)]).collect();
        let mut sgr = Self::default();
        sgr.apply(numbers.iter().map(|number| number.as_slice()));
        sgr
    }

    /// How it looks with so many colours.
    #[must_use]
    pub fn style(&self, colours: Colours) -> Style {
        let mut style = Style::new();
        for (bit, _, modifier) in ATTRIBUTES {
            if self.attributes & bit != 0 {
                style = style.add_modifier(modifier);
            }
        }
        style.fg = self.front.colour(colours);
        // Text in the colour of its own ground would be hidden.
        style.bg = self.back.colour(colours).filter(|back| style.fg != Some(*back));
        style
    }
}

fn indexed(number: u16) -> Tint {
    u8::try_from(number).map_or(Tint::Own, Tint::Indexed)
}

/// `38;5;n`, `38;2;r;g;b`, and the same with colons, where a colour space may stand before the three.
fn extended<'a>(parameter: &[u16], rest: &mut impl Iterator<Item = &'a [u16]>) -> Option<Tint> {
    let byte = |number: u16| u8::try_from(number.min(255)).unwrap_or(255);
    if let [_, kind, values @ ..] = parameter {
        return match (kind, values) {
            (5, [number, ..]) => Some(Tint::Indexed(byte(*number))),
            (2, [red, green, blue] | [_, red, green, blue, ..]) => {
                Some(Tint::Rgb(byte(*red), byte(*green), byte(*blue)))
            }
            _ => None,
        };
    }
    let mut next = || rest.next().and_then(|parameter| parameter.first().copied());
    match next()? {
        5 => Some(Tint::Indexed(byte(next()?))),
        2 => Some(Tint::Rgb(byte(next()?), byte(next()?), byte(next()?))),
        _ => None,
    }
}

impl Tint {
    fn colour(self, colours: Colours) -> Option<Color> {
        match (self, colours) {
            (Self::Own, _) | (_, Colours::None) => None,
            (Self::Indexed(number @ 0..16), _) => Some(named(number)),
            (Self::Indexed(number), Colours::Sixteen) => Some(named(nearest_16(rgb_of(number)))),
            (Self::Indexed(number), _) => Some(Color::Indexed(number)),
            (Self::Rgb(red, green, blue), Colours::Sixteen) => Some(named(nearest_16((red, green, blue)))),
            (Self::Rgb(red, green, blue), Colours::Many) => Some(Color::Indexed(nearest_256((red, green, blue)))),
            (Self::Rgb(red, green, blue), Colours::True) => Some(Color::Rgb(red, green, blue)),
        }
    }
}

const fn named(number: u8) -> Color {
    match number {
        0 => Color::Black,
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        6 => Color::Cyan,
        7 => Color::Gray,
        8 => Color::DarkGray,
        9 => Color::LightRed,
        10 => Color::LightGreen,
        11 => Color::LightYellow,
        12 => Color::LightBlue,
        13 => Color::LightMagenta,
        14 => Color::LightCyan,
        _ => Color::White,
    }
}

type Rgb = (u8, u8, u8);

/// The 16 as xterm has them.
const SIXTEEN: [Rgb; 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// The steps of the cube of 6 × 6 × 6 colours that begins at 16.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn rgb_of(number: u8) -> Rgb {
    match number {
        0..16 => SIXTEEN[usize::from(number)],
        16..232 => {
            let step = |value: u8| STEPS[usize::from(value % 6)];
            let cube = number - 16;
            (step(cube / 36), step(cube / 6), step(cube))
        }
        232.. => {
            let grey = 8 + 10 * (number - 232);
            (grey, grey, grey)
        }
    }
}

fn distance(a: Rgb, b: Rgb) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    // The eye sees green best.
    2 * square(a.0, b.0) + 4 * square(a.1, b.1) + 3 * square(a.2, b.2)
}

fn nearest_16(rgb: Rgb) -> u8 {
    (0..16).min_by_key(|number| distance(rgb, SIXTEEN[usize::from(*number)])).unwrap_or(7)
}

fn nearest_256(rgb: Rgb) -> u8 {
    let step = |value: u8| (0..6_u8).min_by_key(|at| STEPS[usize::from(*at)].abs_diff(value)).unwrap_or(0);
    let cube = 16 + 36 * step(rgb.0) + 6 * step(rgb.1) + step(rgb.2);
    let mean = (u16::from(rgb.0) + u16::from(rgb.1) + u16::from(rgb.2)) / 3;
    let grey = 232 + u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    if distance(rgb, rgb_of(grey)) < distance(rgb, rgb_of(cube)) { grey } else { cube }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn of(codes: &str) -> Sgr {
        let parameters: Vec<Vec<u16>> = codes
            .split(';')
            .map(|parameter| parameter.split(':').map(|number| number.parse().unwrap_or(0)).collect())
            .collect();
        let mut sgr = Sgr::default();
        sgr.apply(parameters.iter().map(Vec::as_slice));
        sgr
    }

    #[rstest]
    #[case("31", Some(Color::Red), None)]
    #[case("1;91;44", Some(Color::LightRed), Some(Color::Blue))]
    #[case("38;5;208", Some(Color::Indexed(208)), None)]
    #[case("38:5:208;1", Some(Color::Indexed(208)), None)]
    #[case("38;2;1;2;3", Some(Color::Rgb(1, 2, 3)), None)]
    #[case("48:2::1:2:3", None, Some(Color::Rgb(1, 2, 3)))]
    #[case("58;5;1;32", Some(Color::Green), None)]
    #[case("31;39", None, None)]
    #[case("31;0", None, None)]
    #[case("38", None, None)]
    #[case("30;40", Some(Color::Black), None)]
    fn colours(#[case] codes: &str, #[case] front: Option<Color>, #[case] back: Option<Color>) {
        let style = of(codes).style(Colours::True);
        assert_eq!((style.fg, style.bg), (front, back));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for codes in ["0", "1;2;3;4;7;9", "38;2;1;2;3;48;5;200", "5;8", "97;107"] {
            let sgr = of(codes);
            let mut text = String::new();
            sgr.write(&mut text);
            assert_eq!(Sgr::read(text.trim_start_matches("\x1b[").trim_end_matches('m')), sgr, "{codes}");
        }
    }

    #[test]
    fn colours_are_fitted_to_the_terminal() {
        let orange = of("38;2;255;135;0");
        assert_eq!(orange.style(Colours::True).fg, Some(Color::Rgb(255, 135, 0)));
        assert_eq!(orange.style(Colours::Many).fg, Some(Color::Indexed(208)));
        assert_eq!(orange.style(Colours::Sixteen).fg, Some(Color::Yellow));
        assert_eq!(of("38;2;90;90;90").style(Colours::Many).fg, Some(Color::Indexed(240)));
        assert_eq!(of("1;31").style(Colours::None), Style::new().add_modifier(Modifier::BOLD));
        assert_eq!(of("38;5;196").style(Colours::Sixteen).fg, Some(Color::LightRed));
    }
}
