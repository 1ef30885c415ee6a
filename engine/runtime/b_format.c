/* sprintf with the verbs, flags, widths, precisions and argument numbers of Go's fmt. Numbers as text are in
 * b_format_number.c. */
#include "b_format.h"

typedef struct {
    rt_sb *out;
    rt_v args;
    uint32_t count;
    uint32_t at;      /* next argument */
    bool reordered;   /* some verb named its argument */
    bool good_number; /* the last [n] was in range */
} printer;

/* What Go would be given for a value: an int, a big integer, a float64, or text for all the rest. */
static b_arg_kind classify(rt_v v, rt_v *text, double *real) {
    int64_t small;
    if (rt_tag(v) == RT_NUMBER) {
        if (rt_num_is_int(v, &small)) return B_ARG_INT;
        rt_sb sb;
        rt_sb_init(&sb, 32);
        rt_sb_number(&sb, v);
        *text = rt_sb_string(&sb);
        bool digits_only = true;
        for (size_t i = 0; i < rt_str_len(*text); i++) {
            char c = rt_str(*text)[i];
            if (!((c >= '0' && c <= '9') || (c == '-' && i == 0))) digits_only = false;
        }
        if (digits_only) return B_ARG_BIG;
        *real = rt_num_to_double(v);
        if (*real == 0 && rt_str(*text)[0] == '-') *real = -0.0;
        return __builtin_isfinite(*real) ? B_ARG_FLOAT : B_ARG_TEXT;
    }
    if (rt_tag(v) == RT_STRING) {
        *text = v;
        return B_ARG_TEXT;
    }
    rt_sb sb;
    rt_sb_init(&sb, 32);
    b_sb_term(&sb, v);
    *text = rt_sb_string(&sb);
    return B_ARG_TEXT;
}

static const char *go_type(b_arg_kind kind) {
    static const char *const names[] = {"int64", "*big.Int", "float64", "string"};
    return names[kind];
}

static void pad(rt_sb *out, const b_spec *spec, rt_v text, bool zero) {
    size_t runes = rt_str_runes(text);
    size_t fill = spec->has_width && (size_t)spec->width > runes ? (size_t)spec->width - runes : 0;
    if (!spec->minus) rt_sb_repeat(out, zero ? '0' : ' ', fill);
    rt_sb_value(out, text);
    if (spec->minus) rt_sb_repeat(out, ' ', fill);
}

/* Strings: %v %s %q %x %X; false for any other verb. */
static bool format_text(rt_sb *out, b_spec *spec, rt_v text, uint32_t verb) {
    const char *at = rt_str(text);
    const char *end = at + rt_str_len(text);
    if (spec->has_precision && (verb == 's' || verb == 'v' || verb == 'q')) {
        const char *cut = at;
        for (int64_t left = spec->precision; left > 0 && cut < end; left--) (void)rt_utf8_next(&cut, end);
        end = cut;
        text = rt_string(at, (size_t)(end - at));
        at = rt_str(text);
        end = at + rt_str_len(text);
    }
    rt_sb sb;
    rt_sb_init(&sb, 2 * (size_t)(end - at) + 8);
    switch (verb) {
    case 'v':
        if (spec->go_syntax) {
            b_sb_quoted(&sb, at, (size_t)(end - at));
            pad(out, spec, rt_sb_string(&sb), false);
            return true;
        }
        pad(out, spec, text, spec->zero);
        return true;
    case 's': pad(out, spec, text, spec->zero); return true;
    case 'q': {
        bool raw = spec->sharp;
        for (const char *c = at; raw && c < end;) {
            const char *from = c;
            uint32_t rune = rt_utf8_next(&c, end);
            if (rune == '`' || (rune == 0xFFFD && c - from == 1) || (rune < 0x20 && rune != '\t') || rune == 0x7F || rune == 0xFEFF) raw = false;
        }
        if (raw) {
            rt_sb_byte(&sb, '`');
            rt_sb_bytes(&sb, at, (size_t)(end - at));
            rt_sb_byte(&sb, '`');
        } else {
            b_sb_quoted(&sb, at, (size_t)(end - at));
        }
        rt_v quoted = rt_sb_string(&sb);
        if (spec->plus && !raw) quoted = b_ascii_only(quoted);
        pad(out, spec, quoted, spec->zero);
        return true;
    }
    case 'x':
    case 'X': {
        const char *digits = verb == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
        size_t limit = (size_t)(end - at);
        if (spec->has_precision && (size_t)spec->precision < limit) limit = (size_t)spec->precision;
        for (size_t i = 0; i < limit; i++) {
            if (spec->space && i) rt_sb_byte(&sb, ' ');
            if (spec->sharp && (spec->space || i == 0)) {
                rt_sb_byte(&sb, '0');
                rt_sb_byte(&sb, (char)verb);
            }
            rt_sb_byte(&sb, digits[(unsigned char)at[i] >> 4]);
            rt_sb_byte(&sb, digits[at[i] & 15]);
        }
        pad(out, spec, rt_sb_string(&sb), spec->zero);
        return true;
    }
    default: return false;
    }
}

static void print_value(printer *p, b_spec *spec, rt_v v, uint32_t verb);

/* `%!verb(type=value)` */
static void bad_verb(printer *p, b_spec *spec, rt_v v, uint32_t verb, const char *type) {
    rt_sb_text(p->out, "%!");
    rt_sb_rune(p->out, verb);
    rt_sb_byte(p->out, '(');
    bool big = type[0] == '*'; /* big integers print themselves, by another name and without flags */
    b_spec plain = {0};
    rt_sb_text(p->out, big ? "big.Int" : type);
    rt_sb_byte(p->out, '=');
    print_value(p, big ? &plain : spec, v, 'v'); /* width and precision stay */
    rt_sb_byte(p->out, ')');
}

static void print_value(printer *p, b_spec *spec, rt_v v, uint32_t verb) {
    rt_v text = 0;
    double real = 0;
    b_arg_kind kind = classify(v, &text, &real);
    if (verb == 'T') {
        (void)format_text(p->out, spec, rt_string_c(go_type(kind)), 's');
        return;
    }
    if (kind == B_ARG_TEXT) {
        if (!format_text(p->out, spec, text, verb)) bad_verb(p, spec, v, verb, "string");
        return;
    }
    rt_v number = kind == B_ARG_FLOAT ? b_format_float(real, spec, verb) : b_format_integer(v, kind, spec, verb);
    if (!number) {
        bad_verb(p, spec, v, verb, go_type(kind));
        return;
    }
    /* Digits know of zeros in front; a character is a text. */
    bool character = kind == B_ARG_INT && (verb == 'c' || verb == 'q');
    pad(p->out, spec, number, character && spec->zero);
}

static bool digit(const char *at, const char *end) { return at < end && *at >= '0' && *at <= '9'; }

/* A decimal number. Digits behind one of more than a million are Go's "too large": it is none, and the format ends here. */
static bool read_number(const char **at, const char *end, int64_t *out) {
    bool found = false;
    int64_t value = 0;
    while (digit(*at, end)) {
        if (value > 1000000) {
            *at = end;
            return false;
        }
        value = value * 10 + (**at - '0');
        found = true;
        (*at)++;
    }
    *out = value;
    return found;
}

/* `[n]` chooses the next argument. True when there was one (good or bad). */
static bool argument_number(printer *p, const char **at, const char *end) {
    if (*at >= end || **at != '[') return false;
    p->reordered = true;
    const char *close = *at;
    while (close < end && *close != ']') close++;
    if (close == end || end - *at < 3) {
        p->good_number = false;
        (*at)++;
        return true;
    }
    const char *inner = *at + 1;
    int64_t number = 0;
    bool found = read_number(&inner, close, &number);
    *at = close + 1;
    if (!found || inner != close || number < 1 || number > p->count) {
        p->good_number = false;
        return true;
    }
    p->at = (uint32_t)number - 1;
    return true;
}

static bool star(printer *p, int64_t *out) {
    if (p->at >= p->count) return false;
    rt_v v = rt_array_at(p->args, p->at++);
    return rt_tag(v) == RT_NUMBER && rt_num_is_int(v, out) && *out <= 1000000 && *out >= -1000000;
}

/* Everything behind one '%'; moves *at behind the verb. */
static void directive(printer *p, const char **at, const char *end) {
    b_spec spec = {0};
    p->good_number = true;
    for (; *at < end; (*at)++) {
        char c = **at;
        if (c == '#') spec.sharp = true;
        else if (c == '0') spec.zero = true;
        else if (c == '+') spec.plus = true;
        else if (c == '-') spec.minus = true;
        else if (c == ' ') spec.space = true;
        else break;
    }
    bool after_index = argument_number(p, at, end);
    if (*at < end && **at == '*') {
        (*at)++;
        spec.has_width = star(p, &spec.width);
        if (!spec.has_width) rt_sb_text(p->out, "%!(BADWIDTH)");
        if (spec.width < 0) {
            spec.width = -spec.width;
            spec.minus = true;
        }
        after_index = false;
    } else {
        spec.has_width = read_number(at, end, &spec.width);
        if (after_index && spec.has_width) p->good_number = false; /* "%[3]2d" */
    }
    if (*at + 1 < end && **at == '.') { /* the last character is the verb, even if it is a dot */
        (*at)++;
        if (after_index) p->good_number = false; /* "%[3].2d" */
        after_index = argument_number(p, at, end);
        if (*at < end && **at == '*') {
            (*at)++;
            spec.has_precision = star(p, &spec.precision);
            if (spec.precision < 0) {
                spec.precision = 0;
                spec.has_precision = false;
            }
            if (!spec.has_precision) rt_sb_text(p->out, "%!(BADPREC)");
            after_index = false;
        } else {
            spec.has_precision = read_number(at, end, &spec.precision);
            if (!spec.has_precision) {
                spec.precision = 0;
                spec.has_precision = true;
            }
        }
    }
    if (!after_index) (void)argument_number(p, at, end);
    if (spec.minus) spec.zero = false;
    if (*at >= end) {
        rt_sb_text(p->out, "%!(NOVERB)");
        return;
    }
    uint32_t verb = rt_utf8_next(at, end);
    if (verb == '%') {
        rt_sb_byte(p->out, '%');
        return;
    }
    if (!p->good_number || p->at >= p->count) {
        rt_sb_text(p->out, "%!");
        rt_sb_rune(p->out, verb);
        rt_sb_text(p->out, p->good_number ? "(MISSING)" : "(BADINDEX)");
        return;
    }
    if (verb == 'v' || verb == 'w') {
        spec.go_syntax = spec.sharp;
        spec.sharp = false;
        spec.plus = false;
    }
    print_value(p, &spec, rt_array_at(p->args, p->at++), verb);
}

RT_EXPORT rt_v bi_sprintf(rt_v format, rt_v args) {
    B_STRING("sprintf", 1, format);
    B_ARRAY("sprintf", 2, args);
    const char *at = rt_str(format);
    const char *end = at + rt_str_len(format);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(format) + 32);
    printer p = {.out = &sb, .args = args, .count = rt_array_len(args), .at = 0, .reordered = false, .good_number = true};
    while (at < end) {
        const char *from = at;
        while (at < end && *at != '%') at++;
        rt_sb_bytes(&sb, from, (size_t)(at - from));
        if (at == end) break;
        at++;
        directive(&p, &at, end);
    }
    if (!p.reordered && p.at < p.count) {
        rt_sb_text(&sb, "%!(EXTRA ");
        for (uint32_t i = p.at; i < p.count; i++) {
            rt_v text = 0;
            double real = 0;
            b_spec plain = {0};
            if (i > p.at) rt_sb_text(&sb, ", ");
            rt_sb_text(&sb, go_type(classify(rt_array_at(args, i), &text, &real)));
            rt_sb_byte(&sb, '=');
            print_value(&p, &plain, rt_array_at(args, i), 'v');
        }
        rt_sb_byte(&sb, ')');
    }
    return rt_sb_string(&sb);
}

/* Template strings: parts are strings, or sets that hold the value of an expression (none: it is undefined). */
RT_EXPORT rt_v bi_internal_template_string(rt_v parts) {
    B_ARRAY("internal.template_string", 1, parts);
    rt_sb sb;
    rt_sb_init(&sb, 64);
    for (RT_EACH(i, n, parts)) {
        rt_v part = rt_array_at(parts, i);
        if (rt_tag(part) == RT_SET) {
            if (rt_table_len(part) > 1)
                return rt_builtin_error("internal.template_string", "template-strings must not produce multiple outputs");
            if (rt_table_len(part) == 0) {
                rt_sb_text(&sb, "<undefined>");
                continue;
            }
            rt_sorted(part);
            part = rt_set_at(part, 0);
        }
        if (rt_tag(part) == RT_STRING) {
            rt_sb_value(&sb, part);
        } else {
            b_sb_term(&sb, part);
        }
    }
    return rt_sb_string(&sb);
}
