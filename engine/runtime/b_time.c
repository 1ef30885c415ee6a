/* RFC 3339 texts to nanoseconds since 1970, and durations. Dates are in b_calendar.c; other layouts are the host's. */
#include "b_time.h"

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
    int64_t result;
    uint64_t clock = (uint64_t)(hour * 3600 + minute * 60 + second - east);
    if (!b_nanoseconds(b_midnight((uint64_t)year, (uint32_t)month, day) + clock, nano, &result))
        return rt_builtin_error(NAME, "time outside of valid range");
    return rt_int(result);
}

/* ---- durations: 1h30m, -1.5d, 10ms; the arithmetic is Go's, floating point where that has it ---- */

static const char DURATION[] = "time.parse_duration_ns";
static const uint64_t HALF = (uint64_t)1 << 63; /* the size of the least duration */

/* Whose fault it is: the text as it came, and whether it was written anew, which OPA then quotes in another way. */
typedef struct {
    rt_v text;
    bool anew;
} given;

/* "time: <what> <text>", between them a unit if there is one. */
static rt_v wrong(const given *in, const char *what, const char *unit, const char *unit_end) {
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(in->text) + 48);
    rt_sb_text(&sb, "time: ");
    rt_sb_text(&sb, what);
    rt_sb_byte(&sb, ' ');
    if (unit) {
        quoted(&sb, unit, unit_end);
        rt_sb_text(&sb, " in duration ");
    }
    if (in->anew)
        b_sb_quoted(&sb, rt_str(in->text), rt_str_len(in->text));
    else
        quoted(&sb, rt_str(in->text), rt_str(in->text) + rt_str_len(in->text));
    return rt_builtin_error_value(DURATION, rt_sb_string(&sb));
}

static rt_v invalid(const given *in) { return wrong(in, "invalid duration", 0, 0); }

static bool is_digit(char c) { return (unsigned)(c - '0') < 10; }
static bool in_number(char c) { return is_digit(c) || c == '.'; }

/* Nanoseconds of a unit of Go; 0: there is none. */
static uint64_t unit_of(const char *at, const char *end) {
    static const struct {
        const char *text;
        uint64_t nanoseconds;
    } units[] = {{"ns", 1},       {"us", 1000},      {"\xC2\xB5s", 1000}, {"\xCE\xBCs", 1000},
                 {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000}};
    size_t len = (size_t)(end - at);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].text) == len && memcmp(units[i].text, at, len) == 0) return units[i].nanoseconds;
    return 0;
}

/* Digits in front; false beyond 2^63. */
static bool whole_part(const char **at, const char *end, uint64_t *out) {
    for (*out = 0; *at < end && is_digit(**at); ++*at) {
        if (*out > HALF / 10) return false;
        *out = *out * 10 + (uint64_t)(**at - '0');
        if (*out > HALF) return false;
    }
    return true;
}

/* Digits behind a point: value / scale; those that do not fit are skipped. */
static uint64_t decimals(const char **at, const char *end, double *scale) {
    uint64_t value = 0;
    bool full = false;
    for (*scale = 1; *at < end && is_digit(**at); ++*at) {
        full = full || value > (HALF - 1) / 10;
        if (full) continue;
        value = value * 10 + (uint64_t)(**at - '0');
        *scale *= 10;
    }
    return value;
}

/* Amounts with a unit each, and a sign in front of them all. */
static rt_v duration(const given *in, const char *at, const char *end) {
    uint64_t total = 0;
    bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (end - at == 1 && *at == '0') return rt_int(0);
    if (at == end) return invalid(in);
    while (at < end) {
        const char *from = at;
        uint64_t value, part = 0;
        double scale = 1;
        if (!whole_part(&at, end, &value)) return invalid(in);
        bool any = at > from;
        if (at < end && *at == '.') {
            from = ++at;
            part = decimals(&at, end, &scale);
            any = any || at > from;
        }
        if (!any) return invalid(in);
        const char *unit = at;
        while (at < end && !in_number(*at)) at++;
        if (at == unit) return wrong(in, "missing unit in duration", 0, 0);
        uint64_t nanoseconds = unit_of(unit, at);
        if (!nanoseconds) return wrong(in, "unknown unit", unit, at);
        if (value > HALF / nanoseconds) return invalid(in);
        value = value * nanoseconds + (uint64_t)((double)part * ((double)nanoseconds / scale));
        if (value > HALF) return invalid(in);
        total += value; /* both at most 2^63: 2^64 wraps to 0, as Go's does */
        if (total > HALF) return invalid(in);
    }
    if (!negative && total == HALF) return invalid(in);
    return rt_int((int64_t)(negative ? 0 - total : total));
}

/* Hours of the units that OPA has beside Go's; 0: it is none of them. */
static double hours_of(char unit) { return unit == 'd' ? 24 : unit == 'w' ? 7 * 24 : unit == 'y' ? 365 * 24 : 0; }

/* Digits with at most one point, as floating point; false: they are no number. */
static bool to_double(const char *at, const char *end, double *out) {
    rt_sb sb;
    rt_sb_init(&sb, (size_t)(end - at) + 1);
    const char *first = at;
    while (at < end && *at == '0') at++; /* JSON has no zeros in front */
    bool any = at > first;
    if (at == end || !is_digit(*at)) rt_sb_byte(&sb, '0');
    for (; at < end && is_digit(*at); at++, any = true) rt_sb_byte(&sb, *at);
    if (at < end && *at == '.') {
        if (at + 1 < end && is_digit(at[1])) rt_sb_byte(&sb, '.');
        for (at++; at < end && is_digit(*at); at++, any = true) rt_sb_byte(&sb, *at);
    }
    if (!any || at < end) return false;
    *out = rt_num_to_double(rt_num_from_text(rt_sb_data(&sb), sb.len));
    return *out < 1e300; /* more is too long for a duration anyway */
}

/* The shortest digits of it, without an exponent. */
static void put_double(rt_sb *sb, double value) {
    rt_decimal d;
    rt_num_decimal(rt_num_from_double(value), &d);
    int64_t count = (int64_t)d.count;
    if (count == 0 || d.point <= 0) rt_sb_byte(sb, '0');
    for (int64_t i = 0; count && i < d.point; i++) rt_sb_byte(sb, i < count ? d.digits[i] : '0');
    if (count == 0 || count <= d.point) return;
    rt_sb_byte(sb, '.');
    for (int64_t i = d.point; i < count; i++) rt_sb_byte(sb, i < 0 ? '0' : d.digits[i]);
}

/* The end of a unit: two letters of Go's, or one from a to z; 0: there is none. */
static const char *end_of_unit(const char *at, const char *end) {
    static const char *const units[] = {"ms", "us", "\xC2\xB5s", "ns"};
    for (size_t i = 0; i < 4; i++) {
        size_t len = strlen(units[i]);
        if ((size_t)(end - at) >= len && memcmp(at, units[i], len) == 0) return at + len;
    }
    return at < end && *at >= 'a' && *at <= 'z' ? at + 1 : 0;
}

/* Writes days, weeks and years of 365 days as hours; false: the text has not that form. */
static bool in_hours(rt_sb *sb, const char *at, const char *end) {
    if (at < end && (*at == '-' || *at == '+')) rt_sb_byte(sb, *at++);
    if (at == end) return false;
    while (at < end) {
        const char *from = at;
        while (at < end && in_number(*at)) at++;
        const char *after = end_of_unit(at, end);
        if (at == from || !after) return false;
        double hours = hours_of(*at), value;
        if (hours == 0) {
            rt_sb_bytes(sb, from, (size_t)(after - from));
        } else {
            if (!to_double(from, at, &value)) return false;
            put_double(sb, value * hours);
            rt_sb_byte(sb, 'h');
        }
        at = after;
    }
    return true;
}

RT_EXPORT rt_v bi_time_parse_duration_ns(rt_v text) {
    B_STRING(DURATION, 1, text);
    given in = {text, false};
    const char *at = rt_str(text), *end = at + rt_str_len(text);
    for (const char *c = at; c < end && !in.anew; c++) in.anew = *c == 'd' || *c == 'w' || *c == 'y';
    if (!in.anew) return duration(&in, at, end);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(text) + 32);
    if (!in_hours(&sb, at, end)) return invalid(&in);
    rt_v hours = rt_sb_string(&sb);
    return duration(&in, rt_str(hours), rt_str(hours) + rt_str_len(hours));
}
