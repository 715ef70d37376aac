//! Places as the registry knows them: squares of a coarse grid, never a point.
//!
//! A cell is 0.05 degrees high and wide (5.6 km north to south), numbered row by row from the south
//! pole at 180° west, from 1; 0 is "nowhere". No finer place is ever put on chain.
//!
//! ```
//! use medina_sdk::place::{cell_of, cells_around};
//! let barcelona = cell_of(41.39, 2.17).unwrap();
//! assert!(cells_around(41.40, 2.20, 5_000.0).unwrap().contains(&barcelona));
//! ```

use std::collections::BTreeSet;

use thiserror::Error;

use crate::limits::PLACE_CELLS_MAX;

/// Cells of one degree.
const CELLS_PER_DEGREE: u64 = 20;
/// Cells around the earth.
const COLUMNS: u64 = 360 * CELLS_PER_DEGREE;
/// Cells from pole to pole.
const ROWS: u64 = 180 * CELLS_PER_DEGREE;
/// Metres of one degree of latitude.
const METRES_PER_DEGREE: f64 = 111_195.0;

/// Why something is no place.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlaceError {
    /// Not on earth.
    #[error(
        "{latitude},{longitude} is no place: give latitude -90 to 90 and longitude -180 to 180"
    )]
    NotOnEarth {
        /// As it was given.
        latitude: f64,
        /// As it was given.
        longitude: f64,
    },
    /// Not two numbers.
    #[error("`{0}` is no place: write latitude and longitude in degrees, like 41.39,2.17")]
    NotAPlace(String),
    /// The circle is too large to search.
    #[error(
        "a circle of {0} m is too large: at most {PLACE_CELLS_MAX} cells of 5.6 km are searched"
    )]
    TooWide(f64),
}

/// The cell of a place.
pub fn cell_of(latitude: f64, longitude: f64) -> Result<u64, PlaceError> {
    let (row, column) = row_and_column(latitude, longitude)?;
    Ok(1 + row * COLUMNS + column)
}

/// The south-west corner of a cell; `None` for 0 and what is no cell.
pub fn corner_of(cell: u64) -> Option<(f64, f64)> {
    let number = cell
        .checked_sub(1)
        .filter(|number| *number < ROWS * COLUMNS)?;
    let degrees = |cells: u64| {
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        f64::from(cells) / CELLS_PER_DEGREE as f64
    };
    Some((
        degrees(number / COLUMNS) - 90.0,
        degrees(number % COLUMNS) - 180.0,
    ))
}

/// Reads `latitude,longitude` in degrees.
pub fn parse_place(text: &str) -> Result<(f64, f64), PlaceError> {
    let wrong = || PlaceError::NotAPlace(text.chars().take(60).collect());
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    let number = |part: &str| part.trim().parse::<f64>().map_err(|_| wrong());
    let place = (number(latitude)?, number(longitude)?);
    row_and_column(place.0, place.1)?;
    Ok(place)
}

/// Every cell that a circle of this radius may touch: those of the rectangle around it.
pub fn cells_around(
    latitude: f64,
    longitude: f64,
    radius_metres: f64,
) -> Result<BTreeSet<u64>, PlaceError> {
    let too_wide = || PlaceError::TooWide(radius_metres);
    if !radius_metres.is_finite() || radius_metres < 0.0 {
        return Err(too_wide());
    }
    row_and_column(latitude, longitude)?;
    let up = radius_metres / METRES_PER_DEGREE;
    let (south, north) = ((latitude - up).max(-90.0), (latitude + up).min(90.0));
    // Meridians meet at the poles: the circle is widest where it is nearest to one.
    let narrowest = south.abs().max(north.abs()).min(89.9).to_radians().cos();
    let aside = (up / narrowest).min(180.0);
    let (bottom, _) = row_and_column(south, longitude)?;
    let (top, _) = row_and_column(north, longitude)?;
    let left = cells_east(longitude - aside);
    let width = cells_east(longitude + aside)
        .saturating_sub(left)
        .min(COLUMNS - 1);
    let count = (top - bottom + 1).saturating_mul(width + 1);
    if usize::try_from(count).map_or(true, |count| count > PLACE_CELLS_MAX) {
        return Err(too_wide());
    }
    let row =
        |row: u64| (left..=left + width).map(move |column| 1 + row * COLUMNS + column % COLUMNS);
    Ok((bottom..=top).flat_map(row).collect())
}

fn row_and_column(latitude: f64, longitude: f64) -> Result<(u64, u64), PlaceError> {
    let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    if !on_earth {
        return Err(PlaceError::NotOnEarth {
            latitude,
            longitude,
        });
    }
    let row = floor((latitude + 90.0) * CELLS_PER_DEGREE as f64).min(ROWS - 1);
    Ok((row, cells_east(longitude) % COLUMNS))
}

/// Columns from 180° west to a longitude that may lie one turn outside.
fn cells_east(longitude: f64) -> u64 {
    floor((longitude + 180.0 + 360.0) * CELLS_PER_DEGREE as f64)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the callers' numbers are between 0 and a few thousand"
)]
fn floor(number: f64) -> u64 {
    number.floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_places_have_their_cells() {
        assert_eq!(cell_of(-90.0, -180.0), Ok(1));
        assert_eq!(cell_of(90.0, 179.99), Ok(ROWS * COLUMNS));
        assert_eq!(cell_of(0.0, 0.0), Ok(1 + ROWS / 2 * COLUMNS + COLUMNS / 2));
        assert_eq!(cell_of(10.0, 180.0), cell_of(10.0, -180.0));
        assert!(cell_of(91.0, 0.0).is_err() && cell_of(f64::NAN, 0.0).is_err());
        assert_eq!(parse_place(" 41.39, 2.17"), Ok((41.39, 2.17)));
        for text in ["", "41.39", "a,b", "91,0", "nan,0", "1,2,3"] {
            assert!(parse_place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn circles_cross_the_date_line_and_end_somewhere() {
        let fiji = cells_around(-17.0, 179.99, 10_000.0).expect("is small");
        assert!(fiji.contains(&cell_of(-17.0, -179.98).expect("a place")));
        assert!(fiji.contains(&cell_of(-17.0, 179.95).expect("a place")));
        assert!(fiji.len() < 40, "{}", fiji.len());
        assert!(matches!(
            cells_around(0.0, 0.0, 5e6),
            Err(PlaceError::TooWide(_))
        ));
        assert!(cells_around(0.0, 0.0, f64::INFINITY).is_err());
        assert!(cells_around(89.99, 0.0, 1_000.0).is_ok());
    }

    proptest! {
        #[test]
        fn place_lies_in_its_cell_and_in_every_circle_around_it(
            latitude in -85.0_f64..85.0, longitude in -180.0_f64..180.0, radius in 0.0_f64..50_000.0,
        ) {
            let cell = cell_of(latitude, longitude).expect("on earth");
            let (south, west) = corner_of(cell).expect("a cell");
            prop_assert!(south <= latitude + 1e-9 && latitude < south + 0.05 + 1e-9);
            prop_assert!(west <= longitude + 1e-9 && longitude < west + 0.05 + 1e-9);
            prop_assert!(cells_around(latitude, longitude, radius).expect("small").contains(&cell));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_place(&text);
        }
    }
}
