//! Files as people have them: good, odd, broken and hostile.

use super::*;
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;
const NOON: u64 = 1_078_920_000_000; // 2004-03-10 12:00 UTC

fn read(text: &str) -> CsvData {
    read_csv(text.as_bytes(), &CsvOptions::default()).expect("reads")
}

fn fails(text: &str) -> CsvError {
    read_csv(text.as_bytes(), &CsvOptions::default()).expect_err("is refused")
}

fn seen(data: &CsvData) -> Vec<(u64, &str, &str)> {
    data.readings
        .iter()
        .map(|r| (r.time_ms, r.property.as_str(), r.value.as_str()))
        .collect()
}

#[test]
fn every_numeric_cell_is_one_reading() {
    let data = read("time,t,h\n2004-03-10T12:00:00Z,13.60,48\n2004-03-10T13:00:00Z,14,\n");
    let expected = vec![
        (NOON, "t", "13.60"),
        (NOON, "h", "48"),
        (NOON + HOUR_MS, "t", "14"),
    ];
    assert_eq!(seen(&data), expected);
    assert_eq!(
        (data.report.rows, data.report.accepted, data.report.missing),
        (2, 3, 1)
    );
}

#[test]
fn time_is_found_in_every_documented_column_set() {
    let files = [
        ("timestamp,v\n2004-03-10T12:00:00Z,1\n", "timestamp"),
        ("v,unix\n1,1078920000\n", "unix"),
        ("ts,v\n1078920000000,1\n", "ts"),
        (
            "Date,Time,v\n10/03/2004,12:00:00,1\n13/03/2004,12:00:00,NA\n",
            "Date+Time",
        ),
        (
            "No,year,month,day,hour,v\nx,2004,3,10,12,1\n",
            "year+month+day+hour",
        ),
        ("Year,Month,Day,v\n2004,3,10,1\n", "Year+Month+Day"),
        (
            "Date,v,Hour\n10/03/2004,1,12\n13/03/2004,,12\n",
            "Date+Hour",
        ),
        ("when,v\n2004-03-10 12:00,1\n", "when"),
    ];
    for (file, columns) in files {
        let data = read(file);
        assert_eq!(data.report.time, columns, "{file}");
        assert!(NOON - data.readings[0].time_ms <= 12 * HOUR_MS, "{file}");
        assert_eq!(data.readings.len(), 1, "{file}");
    }
}

#[test]
fn named_time_column_wins_and_a_wrong_name_lists_the_columns() {
    let options = CsvOptions {
        time: Some("b".into()),
        ..CsvOptions::default()
    };
    let data = read_csv("time,b,v\nx,1078920000,1\n".as_bytes(), &options).expect("reads");
    assert_eq!(data.readings[0].time_ms, NOON);
    assert_eq!(data.report.labels, ["time"]);

    let options = CsvOptions {
        time: Some("when".into()),
        ..CsvOptions::default()
    };
    let error = read_csv("time,v\n1,1\n".as_bytes(), &options).expect_err("no such column");
    assert_eq!(
        error.to_string(),
        "--time names `when`, but the columns are: time, v"
    );
}

#[test]
fn order_of_day_and_month_is_inferred_over_the_whole_file() {
    use DateOrder::{DayMonth, MonthDay};
    let cases = [
        (
            "date,v\n03/04/2004,1\n13/04/2004,2\n",
            DayMonth,
            OrderBasis::Values,
        ),
        (
            "date,v\n03/04/2004,1\n03/14/2004,2\n",
            MonthDay,
            OrderBasis::Values,
        ),
        (
            "date,v\n01/02/2004,1\n02/02/2004,2\n03/02/2004,3\n",
            DayMonth,
            OrderBasis::Sequence,
        ),
        (
            "date,v\n02/01/2004,1\n02/02/2004,2\n02/03/2004,3\n",
            MonthDay,
            OrderBasis::Sequence,
        ),
        ("date,v\n02/02/2004,1\n", DayMonth, OrderBasis::Assumed),
    ];
    for (file, order, basis) in cases {
        assert_eq!(read(file).report.date_order, Some((order, basis)), "{file}");
    }
    assert_eq!(read("date,v\n2004-02-01,1\n").report.date_order, None);
}

#[test]
fn given_values_are_missing_in_any_spelling() {
    let options = CsvOptions::default().with_missing("-200");
    let data = read_csv(
        "time;v\n1078920000;-200\n1078920000;-200,0\n1078920000;-2\n".as_bytes(),
        &options,
    )
    .expect("reads");
    assert_eq!((data.report.accepted, data.report.missing), (1, 2));
}

#[test]
fn semicolon_files_may_write_a_decimal_comma() {
    let data =
        read("Date;Time;CO;;\n10/03/2004;12.00.00;2,6;;\n13/03/2004;12.00.00;-0,5;;\n;;;;\n");
    assert_eq!(
        (data.report.separator, data.report.decimal_comma),
        (';', true)
    );
    assert_eq!(seen(&data)[0], (NOON, "CO", "2.6"));
    assert_eq!(data.report.rows, 2);
    assert_eq!(data.report.ignored, ["column_4", "column_5"]);
}

#[test]
fn tabs_quotes_marks_and_carriage_returns_are_understood() {
    let data = read("\u{feff}time\t\"a, b\"\r\n2004-03-10T12:00:00Z\t\"1\"\r\n");
    assert_eq!(seen(&data), [(NOON, "a, b", "1")]);
}

#[test]
fn text_of_few_values_becomes_a_label() {
    let data = read("time,station,v\n1078920000,north,1\n1078920000,NA,2\n");
    assert_eq!(data.readings[0].labels["station"], "north");
    assert!(data.readings[1].labels.is_empty());
}

#[test]
fn prose_is_ignored() {
    let mut text = String::from("time,note,v\n");
    for number in 0..=crate::limits::LABEL_VALUES_MAX {
        text.push_str(&format!("1078920000,note number {number},1\n"));
    }
    assert_eq!(read(&text).report.ignored, ["note"]);
}

#[test]
fn columns_of_one_name_stay_apart() {
    let data = read("time,v,v\n1078920000,1,2\n");
    assert_eq!(data.report.properties, ["v", "v_2"]);
}

#[test]
fn broken_row_is_named_by_its_line_and_can_be_left_out() {
    let file =
        "time,a,b\n1078920000,1,2\n\n1078920000,1\n1078920000,x,2\nnever,1,2\n1078920000,3,4\n";
    let error = fails(file);
    assert_eq!(
        error.to_string(),
        "line 4 is broken: 2 columns where the header has 3 (3 broken rows in all; --skip-bad leaves them out)"
    );
    let options = CsvOptions {
        skip_bad: true,
        ..CsvOptions::default()
    };
    let data = read_csv(file.as_bytes(), &options).expect("reads");
    let lines: Vec<_> = data.report.bad_rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [4, 5, 6]);
    assert_eq!(
        (data.report.rows, data.report.accepted, data.report.bad),
        (5, 4, 3)
    );
}

#[test]
fn line_numbers_survive_carriage_returns_and_blank_lines() {
    let error = fails("time,a\r\n\r\n1078920000,1\r\n\r\n1078920000,2\r\n1078920000,3\r\nx,1\r\n");
    assert!(error.to_string().starts_with("line 7 is broken"), "{error}");
}

#[test]
fn files_without_table_time_or_numbers_say_so() {
    assert!(matches!(fails(""), CsvError::Empty));
    assert!(matches!(fails("\n\n"), CsvError::Empty));
    assert!(matches!(fails("one\n1\n"), CsvError::OneColumn));
    assert!(matches!(fails("a,b\n1,2\n"), CsvError::NoTime { .. }));
    assert!(matches!(
        fails("time,b\n1078920000,x\n"),
        CsvError::NoNumbers { .. }
    ));
    assert!(matches!(fails("a,b\n1\u{0},2\n"), CsvError::NotText(2)));
}

#[test]
fn long_lines_and_wide_headers_are_refused() {
    let long = format!("time,v\n{}\n", "x".repeat(CSV_LINE_BYTES_MAX + 1));
    assert!(matches!(fails(&long), CsvError::LineTooLong(2)));
    let endless = std::io::repeat(b'x');
    assert!(matches!(
        read_csv(endless, &CsvOptions::default()),
        Err(CsvError::LineTooLong(1))
    ));
    let wide = format!("time{}\n1\n", ",v".repeat(CSV_COLUMNS_MAX));
    assert!(matches!(fails(&wide), CsvError::TooManyColumns(_)));
}

#[test]
fn air_quality_file_reads_completely() {
    let shared = std::env::var_os("MEDINA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/air-quality-uci.csv");
    if !path.exists() {
        println!("skipped: {} is not here; set MEDINA_SHARED", path.display());
        return;
    }
    let options = CsvOptions::default().with_missing("-200");
    let data = read_csv_file(&path, &options).expect("reads");
    let report = &data.report;
    assert_eq!(
        (report.rows, report.properties.len(), report.bad),
        (9_357, 13, 0)
    );
    assert_eq!(report.accepted + report.missing, 9_357 * 13);
    assert_eq!(report.missing, 16_701);
    assert_eq!(
        report.date_order,
        Some((DateOrder::DayMonth, OrderBasis::Values))
    );
    assert_eq!(seen(&data)[0], (1_078_941_600_000, "CO_GT", "2.6"));
    let times: Vec<_> = data
        .readings
        .iter()
        .map(|reading| reading.time_ms)
        .collect();
    assert!(times.is_sorted());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = read_csv(bytes.as_slice(), &CsvOptions { skip_bad: true, ..CsvOptions::default() });
    }

    #[test]
    fn no_likely_text_panics(text in "(time|date|year|v)?[,;\t](hour|month|v|\")[,;]?day?\n([0-9/:,;\t\"\n.xNA-]{0,80})") {
        let _ = read_csv(text.as_bytes(), &CsvOptions { skip_bad: true, ..CsvOptions::default() });
        let _ = read_csv(text.as_bytes(), &CsvOptions::default());
    }

    #[test]
    fn every_cell_is_accepted_or_counted(cells in prop::collection::vec((0_u64..4_000_000_000, prop::option::of(any::<i32>())), 1..50)) {
        let mut text = String::from("unix,v,w\n");
        for (time, value) in &cells {
            let shown = value.map_or_else(String::new, |value| value.to_string());
            text.push_str(&format!("{},{shown},1\n", time + 1_000_000_000));
        }
        let data = read_csv(text.as_bytes(), &CsvOptions::default())?;
        let filled = cells.iter().filter(|(_, value)| value.is_some()).count();
        let columns = if filled == 0 { 1 } else { 2 };
        prop_assert_eq!(data.readings.len(), filled + cells.len());
        prop_assert_eq!(data.report.accepted + data.report.missing, u64::try_from(cells.len() * columns)?);
    }
}

#[test]
fn given_text_is_missing_too() {
    let options = CsvOptions::default()
        .with_missing("off")
        .with_missing("-999");
    let data = read_csv(
        "time,t\n2026-01-01T00:00:00Z,OFF\n2026-01-01T01:00:00Z,-999.0\n2026-01-01T02:00:00Z,3\n"
            .as_bytes(),
        &options,
    )
    .unwrap();
    assert_eq!((data.report.accepted, data.report.missing), (1, 2));
}

#[test]
fn first_column_without_header_names_the_rows_and_is_ignored() {
    let text =
        "\"date\",\"t\"\n\"1\",\"2015-02-04 17:51:00\",23.18\n\"2\",\"2015-02-04 17:52:00\",23.2\n";
    let data = read_csv(text.as_bytes(), &CsvOptions::default()).unwrap();
    assert_eq!(data.report.accepted, 2);
    assert_eq!(data.report.properties, ["t"]);
    assert_eq!(data.report.ignored, ["row name"]);
}
