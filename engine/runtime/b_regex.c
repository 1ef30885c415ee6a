/* The matcher: a DFA where the compiler made one and only yes or no is asked, else a Pike machine. Both are linear in
 * the text. The format of programs is in engine/regex/FORMAT.md. */
#include "b_regex.h"

#define AT_MAGIC 0
#define AT_COUNT 2
#define AT_START 3
#define AT_GROUPS 4
#define AT_CODE 5
#define AT_CLASSES 6
#define AT_DFA 7
#define AT_NAMES 8
#define AT_FIRST 9
#define FIRST_WORDS 8
#define MAGIC 0x31305852u

enum { MATCH, RUNE, CLASS, ANY, NOT_NEWLINE, SPLIT, SAVE, ASSERT, FAIL };

static uint32_t header(const uint8_t *program, size_t field) {
    return ((const uint32_t *)(const void *)program)[field];
}

/* ---- from pattern to program ---- */

typedef struct cached {
    struct cached *next;
    rt_v key;
    const uint8_t *program; /* 0: the pattern is bad, then: */
    rt_v error;
} cached;

static cached *cache;
static uint32_t cache_resets;

static const uint8_t *in_table(const rt_program_entry *table, int32_t count, rt_v key) {
    for (int32_t i = 0; i < count; i++) {
        if (table[i].key == key) return table[i].program;
    }
    uint32_t hash = rt_hash_of(key);
    for (int32_t i = 0; i < count; i++) {
        if (rt_hash_of(table[i].key) == hash && rt_equal(table[i].key, key)) return table[i].program;
    }
    return 0;
}

static uint32_t digit64(char c) {
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 0;
}

/* The host answers base64 text of the program, or "!" and what is wrong with the pattern. */
static const cached *compiled(rt_v key) {
    if (cache_resets != rt_heap_resets) cache = 0;
    cache_resets = rt_heap_resets;
    for (const cached *at = cache; at; at = at->next) {
        if (rt_equal(at->key, key)) return at;
    }
    cached *entry = rt_alloc(sizeof *entry);
    *entry = (cached){cache, key, 0, 0};
    rt_v answer = rt_regex_compile_id < 0 ? 0 : opa_builtin1(rt_regex_compile_id, 0, key);
    if (rt_tag(answer) != RT_STRING) {
        entry->error = rt_string_c("the host does not compile regular expressions that are made at run time");
    } else if (rt_str_len(answer) > 0 && rt_str(answer)[0] == '!') {
        entry->error = rt_string(rt_str(answer) + 1, rt_str_len(answer) - 1);
    } else {
        size_t len = rt_str_len(answer) / 4 * 3;
        uint8_t *program = rt_alloc(len + 4);
        for (size_t i = 0; i < rt_str_len(answer) / 4; i++) {
            const char *four = rt_str(answer) + 4 * i;
            uint32_t word = digit64(four[0]) << 18 | digit64(four[1]) << 12 | digit64(four[2]) << 6 | digit64(four[3]);
            program[3 * i] = (uint8_t)(word >> 16);
            program[3 * i + 1] = (uint8_t)(word >> 8);
            program[3 * i + 2] = (uint8_t)word;
        }
        if (len < 40 || header(program, AT_MAGIC) != MAGIC)
            rt_abort(RT_ERR_INTERNAL, "the host's answer is not a regular expression program");
        entry->program = program;
    }
    cache = entry;
    return entry;
}

static const uint8_t *program_of(const char *name, rt_v key, rt_v *error) {
    const cached *entry = compiled(key);
    if (!entry->program) *error = rt_builtin_error_value(name, entry->error);
    return entry->program;
}

const uint8_t *b_regex_program(const char *name, rt_v pattern, rt_v *error) {
    const uint8_t *found = in_table(rt_regex_table, rt_regex_count, pattern);
    return found ? found : program_of(name, pattern, error);
}

const uint8_t *b_glob_program(const char *name, rt_v key, rt_v *error) {
    const uint8_t *found = in_table(rt_glob_table, rt_glob_count, key);
    return found ? found : program_of(name, key, error);
}

bool b_regex_compiles(rt_v pattern) {
    return in_table(rt_regex_table, rt_regex_count, pattern) || compiled(pattern)->program;
}

uint32_t b_regex_groups(const uint8_t *program) { return header(program, AT_GROUPS); }

uint32_t b_regex_group(const uint8_t *program, const char *name, size_t len, const uint32_t *slots) {
    uint32_t groups = b_regex_groups(program);
    const uint8_t *at = program + header(program, AT_NAMES);
    for (uint32_t i = 1; i < groups; i++) {
        size_t n = (size_t)at[0] | (size_t)at[1] << 8;
        if (n == len && n > 0 && slots[2 * i] != B_REGEX_NONE && memcmp(at + 2, name, n) == 0) return i;
        at += 2 + n;
    }
    return groups;
}

/* ---- what a match can begin with ---- */

static const uint32_t *first_bytes(const uint8_t *program) {
    uint32_t at = header(program, AT_FIRST);
    return at ? (const uint32_t *)(const void *)(program + at) : 0;
}

static bool begins(const uint32_t *first, uint8_t byte) { return first[byte >> 5] >> (byte & 31) & 1; }

/* The first place at or after `at` where a match can begin. A byte that is not UTF-8 reads as U+FFFD, which begins with EF. */
static size_t next_start(const uint32_t *first, const char *text, size_t len, size_t at) {
    bool any_high = begins(first, 0xEF);
    while (at < len && !begins(first, (uint8_t)text[at]) && !(any_high && (uint8_t)text[at] >= 0x80)) at++;
    return at;
}

/* ---- DFA: a state is the place of its row; row 0 is "never", the next "found" ---- */

static bool dfa(const uint8_t *program, const char *text, size_t len) {
    const uint8_t *table = program + header(program, AT_DFA), *classes = table + 12;
    uint32_t width = header(table, 1), state = header(table, 2);
    const uint16_t *rows = (const uint16_t *)(const void *)(classes + 256);
    const uint32_t *first = first_bytes(program);
    uint32_t idle_end = first ? first[FIRST_WORDS] : 0;
    for (size_t i = 0; i < len && state > width; i++) {
        if (state < idle_end) {
            /* Step over the last of the bytes that begin nothing: it decides what stands before the next. */
            size_t start = next_start(first, text, len, i);
            if (start > i) i = start - 1;
        }
        state = rows[state + classes[(uint8_t)text[i]]];
    }
    return state == width || (state && rows[state + width - 1] == width);
}

/* ---- Pike machine ---- */

typedef struct {
    uint32_t op, operand, next;
} instruction;

/* Threads by preference; `slots` has `width` numbers for each. */
typedef struct {
    uint32_t count;
    uint32_t *order;  /* instruction of thread i */
    uint32_t *member; /* instruction -> i, valid when order[i] is that instruction */
    uint32_t *slots;
} threads;

/* Explore an instruction, or (pc NONE) put an old slot back. */
typedef struct {
    uint32_t pc, slot, old;
} frame;

typedef struct {
    const instruction *code;
    const uint8_t *classes;
    const char *text;
    size_t len;
    uint32_t width;
    uint32_t *current; /* slots of the thread being added */
    frame *stack;
} machine;

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool holds(const machine *m, uint32_t kind, size_t at) {
    bool before = at > 0 && is_word(m->text[at - 1]);
    bool after = at < m->len && is_word(m->text[at]);
    switch (kind) {
    case 0: return at == 0;
    case 1: return at == m->len;
    case 2: return at == 0 || m->text[at - 1] == '\n';
    case 3: return at == m->len || m->text[at] == '\n';
    case 4: return before != after;
    default: return before == after;
    }
}

/* Follows everything that consumes nothing, in order of preference. Every instruction is entered once for each list,
 * and pushes at most two frames, so the stack of 2n + 2 frames is enough. */
static void add(machine *m, threads *to, uint32_t pc, size_t at) {
    size_t depth = 0;
    m->stack[depth++] = (frame){pc, 0, 0};
    while (depth > 0) {
        frame f = m->stack[--depth];
        if (f.pc == UINT32_MAX) {
            m->current[f.slot] = f.old;
            continue;
        }
        uint32_t place = to->member[f.pc];
        if (place < to->count && to->order[place] == f.pc) continue;
        place = to->count++;
        to->order[place] = f.pc;
        to->member[f.pc] = place;
        const instruction *i = &m->code[f.pc];
        switch (i->op) {
        case SPLIT:
            m->stack[depth++] = (frame){i->next, 0, 0};
            m->stack[depth++] = (frame){i->operand, 0, 0};
            break;
        case SAVE:
            if (i->operand < m->width) {
                m->stack[depth++] = (frame){UINT32_MAX, i->operand, m->current[i->operand]};
                m->current[i->operand] = (uint32_t)at;
            }
            m->stack[depth++] = (frame){i->next, 0, 0};
            break;
        case ASSERT:
            if (holds(m, i->operand, at)) m->stack[depth++] = (frame){i->next, 0, 0};
            break;
        default: memcpy(to->slots + (size_t)place * m->width, m->current, m->width * sizeof(uint32_t)); break;
        }
    }
}

static bool in_class(const uint8_t *class, uint32_t rune) {
    const uint32_t *words = (const uint32_t *)(const void *)class;
    uint32_t low = 0, high = words[0];
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (rune > words[2 + 2 * mid]) {
            low = mid + 1;
        } else if (rune < words[1 + 2 * mid]) {
            high = mid;
        } else {
            return true;
        }
    }
    return false;
}

static bool consumes(const machine *m, const instruction *i, uint32_t rune) {
    switch (i->op) {
    case RUNE: return rune == i->operand;
    case CLASS: return in_class(m->classes + i->operand, rune);
    case ANY: return true;
    case NOT_NEWLINE: return rune != '\n';
    default: return false;
    }
}

static threads *new_threads(uint32_t count, uint32_t width) {
    threads *t = rt_alloc(sizeof *t);
    t->count = 0;
    t->order = rt_alloc_array(count, sizeof(uint32_t));
    t->member = rt_alloc_array(count, sizeof(uint32_t));
    memset(t->member, 0, count * sizeof(uint32_t));
    t->slots = rt_alloc_array((size_t)count * (width ? width : 1), sizeof(uint32_t));
    return t;
}

bool b_regex_find(const uint8_t *program, const char *text, size_t len, size_t from, uint32_t *slots, uint32_t count) {
    if (len >= UINT32_MAX) rt_abort(RT_ERR_MEMORY, "text is too long for a regular expression");
    void *mark = rt_mark();
    uint32_t size = header(program, AT_COUNT), start = header(program, AT_START);
    machine m = {.code = (const instruction *)(const void *)(program + header(program, AT_CODE)),
                 .classes = program + header(program, AT_CLASSES),
                 .text = text,
                 .len = len,
                 .width = count,
                 .current = rt_alloc_array((size_t)count + 1, sizeof(uint32_t)),
                 .stack = rt_alloc_array(2 * (size_t)size + 4, sizeof(frame))};
    threads *now = new_threads(size, count), *next = new_threads(size, count);
    const uint32_t *first = first_bytes(program);
    bool found = false;
    for (size_t at = from;;) {
        if (first && !found && now->count == 0) at = next_start(first, text, len, at);
        if (!found) { /* a match may begin here, after all that began before */
            for (uint32_t i = 0; i < count; i++) m.current[i] = B_REGEX_NONE;
            add(&m, now, start, at);
        } else if (now->count == 0) {
            break;
        }
        const char *cursor = text + at;
        uint32_t rune = at < len ? rt_utf8_next(&cursor, text + len) : 0;
        size_t after = (size_t)(cursor - text);
        next->count = 0;
        for (uint32_t t = 0; t < now->count; t++) {
            const instruction *i = &m.code[now->order[t]];
            if (i->op == MATCH) {
                memcpy(slots, now->slots + (size_t)t * count, count * sizeof(uint32_t));
                found = true;
                break; /* what comes after is liked less */
            }
            if (at < len && consumes(&m, i, rune)) {
                memcpy(m.current, now->slots + (size_t)t * count, count * sizeof(uint32_t));
                add(&m, next, i->next, after);
            }
        }
        if (at >= len || (found && count == 0)) break;
        threads *swap = now;
        now = next;
        next = swap;
        at = after;
    }
    rt_release(mark);
    return found;
}

bool b_regex_test(const uint8_t *program, const char *text, size_t len) {
    /* The tables know whole letters only. */
    if (header(program, AT_DFA) && rt_utf8_valid(text, text + len)) return dfa(program, text, len);
    uint32_t none;
    return b_regex_find(program, text, len, 0, &none, 0);
}
