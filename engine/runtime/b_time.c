/* Time without zones: RFC 3339 texts to nanoseconds since 1970. The rest of time.* needs zones and layouts, which the host has. */
#include "b_common.h"

static const char NAME[] = "time.parse_rfc3339_ns";

typedef struct {
    rt_v text;
    const char *at;
    const char *end;
    bool failed;
} reader;

/* As Go's time package quotes: byte by byte what is not printable ASCII. */
static void quoted(rt_sb *sb, const char *at, const char *end) {
    rt_sb_byte(sb, '"');
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c >= 0x80 || c < ' ') {
            rt_sb_text(sb, "\\x");
            rt_sb_byte(sb, "0123456789abcdef"[c >> 4]);
            rt_sb_byte(sb, "0123456789abcdef"[c & 15]);
            continue;
        }
        if (c == '"' || c == '\\') rt_sb_byte(sb, '\\');
        rt_sb_byte(sb, (char)c);
    }
    rt_sb_byte(sb, '"');
}

static void begin_error(rt_sb *sb, reader *r) {
    r->failed = true;
    rt_sb_init(sb, 96);
    rt_sb_text(sb, "parsing time ");
    quoted(sb, rt_str(r->text), r->end);
}

/* What is left cannot be read as this piece of Go's layout. */
static void cannot(reader *r, const char *piece) {
    rt_sb sb;
    begin_error(&sb, r);
    rt_sb_text(&sb, " as \"2006-01-02T15:04:05Z07:00\": cannot parse ");
    quoted(&sb, r->at, r->end);
    rt_sb_text(&sb, " as \"");
    rt_sb_text(&sb, piece);
    rt_sb_byte(&sb, '"');
    (void)rt_builtin_error_value(NAME, rt_sb_string(&sb));
}

static void out_of_range(reader *r, const char *what) {
    rt_sb sb;
    begin_error(&sb, r);
    rt_sb_text(&sb, ": ");
    rt_sb_text(&sb, what);
    rt_sb_text(&sb, " out of range");
    (void)rt_builtin_error_value(NAME, rt_sb_string(&sb));
}

static bool digit_at(const reader *r, size_t i) {
    return (size_t)(r->end - r->at) > i && r->at[i] >= '0' && r->at[i] <= '9';
}

/* Between `least` and `most` digits. */
static int64_t number(reader *r, size_t least, size_t most, const char *piece) {
    if (r->failed) return 0;
    size_t n = 0;
    int64_t value = 0;
    while (n < most && digit_at(r, n)) value = value * 10 + (r->at[n++] - '0');
    if (n < least)
        cannot(r, piece);
    else
        r->at += n;
    return value;
}

static int64_t ranged(reader *r, size_t least, const char *piece, const char *what, int64_t low, int64_t high) {
    int64_t value = number(r, least, 2, piece);
    if (!r->failed && (value < low || value > high)) out_of_range(r, what);
    return value;
}

static void expect(reader *r, const char *mark) {
    if (r->failed) return;
    if (r->at < r->end && *r->at == *mark)
        r->at++;
    else
        cannot(r, mark);
}

/* Nanoseconds of `.5` or `,5`, cut off behind nine digits. */
static int64_t fraction(reader *r) {
    if (r->failed || r->at >= r->end || (*r->at != '.' && *r->at != ',') || !digit_at(r, 1)) return 0;
    r->at++;
    int64_t value = 0;
    int count = 0;
    for (; digit_at(r, 0); r->at++, count++) {
        if (count < 9) value = value * 10 + (*r->at - '0');
    }
    for (; count < 9; count++) value *= 10;
    return value;
}

/* Seconds east of UTC. */
static int64_t offset(reader *r) {
    if (r->failed) return 0;
    if (r->at < r->end && *r->at == 'Z') {
        r->at++;
        return 0;
    }
    size_t left = (size_t)(r->end - r->at);
    bool fits = left >= 6 && (*r->at == '+' || *r->at == '-') && digit_at(r, 1) && digit_at(r, 2) && r->at[3] == ':' &&
                digit_at(r, 4) && digit_at(r, 5);
    if (!fits) {
        cannot(r, "Z07:00");
        return 0;
    }
    int64_t hours = (r->at[1] - '0') * 10 + (r->at[2] - '0'), minutes = (r->at[4] - '0') * 10 + (r->at[5] - '0');
    int64_t sign = *r->at == '-' ? -1 : 1;
    if (hours > 24 || minutes > 60) {
        out_of_range(r, hours > 24 ? "time zone offset hour" : "time zone offset minute");
        return 0;
    }
    r->at += 6;
    return sign * (hours * 3600 + minutes * 60);
}

static bool leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int64_t days_in(int64_t year, int64_t month) {
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (years 0 to 9999). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

RT_EXPORT rt_v bi_time_parse_rfc3339_ns(rt_v text) {
    B_STRING(NAME, 1, text);
    reader r = {text, rt_str(text), rt_str(text) + rt_str_len(text), false};
    int64_t year = number(&r, 4, 4, "2006");
    expect(&r, "-");
    int64_t month = ranged(&r, 2, "01", "month", 1, 12);
    expect(&r, "-");
    int64_t day = number(&r, 2, 2, "02");
    expect(&r, "T");
    int64_t hour = ranged(&r, 1, "15", "hour", 0, 23);
    expect(&r, ":");
    int64_t minute = ranged(&r, 2, "04", "minute", 0, 59);
    expect(&r, ":");
    int64_t second = ranged(&r, 2, "05", "second", 0, 59);
    int64_t nano = fraction(&r);
    int64_t east = offset(&r);
    if (!r.failed && r.at < r.end) {
        rt_sb sb;
        begin_error(&sb, &r);
        rt_sb_text(&sb, ": extra text: ");
        quoted(&sb, r.at, r.end);
        (void)rt_builtin_error_value(NAME, rt_sb_string(&sb));
    }
    if (!r.failed && (day < 1 || day > days_in(year, month))) out_of_range(&r, "day");
    if (r.failed) return 0;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - east, result;
    /* Before 1970 the seconds are one too low for the fraction: -1 s + 0.5 s; the product must not overflow on the way. */
    int64_t high = seconds < 0 ? seconds + 1 : seconds, low = seconds < 0 ? nano - 1000000000 : nano;
    if (high > INT64_MAX / 1000000000 || high < INT64_MIN / 1000000000 ||
        __builtin_add_overflow(high * 1000000000, low, &result))
        return rt_builtin_error(NAME, "time outside of valid range");
    return rt_int(result);
}
