/* Semantic versions as OPA reads them: a `v` in front is allowed, numbers have no leading zeros and fit into 64 bits. */
#include "b_common.h"

typedef struct {
    const char *at;
    const char *end;
} slice;

typedef struct {
    int64_t numbers[3];
    slice pre; /* empty when there is none */
} version;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; }

static bool all_digits(slice s) {
    for (const char *c = s.at; c < s.end; c++) {
        if (!is_digit(*c)) return false;
    }
    return s.at < s.end;
}

/* Cuts the part in front of the next `mark` off; the rest stays in *s. False when there is no mark: the part is all. */
static bool cut(slice *s, char mark, slice *part) {
    part->at = s->at;
    for (const char *c = s->at; c < s->end; c++) {
        if (*c == mark) {
            part->end = c;
            s->at = c + 1;
            return true;
        }
    }
    part->end = s->at = s->end;
    return false;
}

/* Identifiers between dots, none of them empty. */
static bool identifiers(slice s, bool no_leading_zeros) {
    slice part;
    for (bool more = true; more;) {
        more = cut(&s, '.', &part);
        if (part.at == part.end) return false;
        for (const char *c = part.at; c < part.end; c++) {
            if (!is_letter(*c)) return false;
        }
        if (no_leading_zeros && part.end - part.at > 1 && *part.at == '0' && all_digits(part)) return false;
    }
    return true;
}

static bool read_number(slice s, int64_t *out) {
    if (!all_digits(s) || (s.end - s.at > 1 && *s.at == '0')) return false;
    int64_t value = 0;
    for (const char *c = s.at; c < s.end; c++) {
        if (value > (INT64_MAX - (*c - '0')) / 10) return false;
        value = value * 10 + (*c - '0');
    }
    *out = value;
    return true;
}

static bool parse(rt_v text, version *out) {
    slice rest = {rt_str(text), rt_str(text) + rt_str_len(text)}, core, numbers;
    if (rest.at < rest.end && *rest.at == 'v') rest.at++;
    bool metadata = cut(&rest, '+', &core);
    if (metadata && !identifiers(rest, false)) return false;
    bool pre = cut(&core, '-', &numbers);
    out->pre = core;
    if (pre && !identifiers(core, true)) return false;
    slice part;
    return cut(&numbers, '.', &part) && read_number(part, &out->numbers[0]) && cut(&numbers, '.', &part) &&
           read_number(part, &out->numbers[1]) && read_number(numbers, &out->numbers[2]);
}

static int compare_bytes(slice a, slice b) {
    size_t n = (size_t)(a.end - a.at), m = (size_t)(b.end - b.at);
    int order = memcmp(a.at, b.at, n < m ? n : m);
    return order ? (order < 0 ? -1 : 1) : (n > m) - (n < m);
}

/* Identifiers of digits, which may be longer than any number of the machine: leading zeros are not allowed. */
static int compare_digits(slice a, slice b) {
    ptrdiff_t n = a.end - a.at, m = b.end - b.at;
    return n != m ? (n > m ? 1 : -1) : compare_bytes(a, b);
}

static int compare_pre(slice a, slice b) {
    bool some_a = a.at < a.end, some_b = b.at < b.end;
    if (!some_a || !some_b) return some_b - some_a;
    for (;;) {
        slice x, y;
        bool more_a = cut(&a, '.', &x), more_b = cut(&b, '.', &y);
        bool digits_a = all_digits(x), digits_b = all_digits(y);
        if (digits_a != digits_b) return digits_a ? -1 : 1;
        int order = digits_a ? compare_digits(x, y) : compare_bytes(x, y);
        if (order) return order;
        if (more_a != more_b) return more_a ? 1 : -1;
        if (!more_a) return 0;
    }
}

static rt_v bad(int operand, rt_v text) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "operand ");
    rt_sb_int(&sb, operand);
    rt_sb_text(&sb, ": string ");
    b_sb_quoted(&sb, rt_str(text), rt_str_len(text));
    rt_sb_text(&sb, " is not a valid SemVer");
    return rt_builtin_error_value("semver.compare", rt_sb_string(&sb));
}

RT_EXPORT rt_v bi_semver_compare(rt_v a, rt_v b) {
    B_STRING("semver.compare", 1, a);
    B_STRING("semver.compare", 2, b);
    version x, y;
    if (!parse(a, &x)) return bad(1, a);
    if (!parse(b, &y)) return bad(2, b);
    for (int i = 0; i < 3; i++) {
        if (x.numbers[i] != y.numbers[i]) return rt_int(x.numbers[i] > y.numbers[i] ? 1 : -1);
    }
    return rt_int(compare_pre(x.pre, y.pre));
}

RT_EXPORT rt_v bi_semver_is_valid(rt_v text) {
    version v;
    return rt_bool(rt_tag(text) == RT_STRING && parse(text, &v));
}
