/* Events of a trace as rows of integers, at the speed of memory, where they are as Kineto writes them.

What is unusual in any way is not read here: the caller then decodes the same text as it would without this module.
So all that is accepted here has to mean what `decode_events` and `Arguments` take it for, and not one thing more.
The text is a bytes object, which Python ends with a zero byte: no loop over kinds of characters runs beyond that. */

#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef const unsigned char *Text;

/* A row; the order is that of NAMES. Names, threads, grids and blocks are numbers of texts, -1 where there is none;
   categories are names too. */
enum { START, DURATION, TIMED, CATEGORY, NAME, THREAD, ARGS_START, ARGS_END, WHOLE,
       DEVICE, STREAM, CORRELATION, EXTERNAL, SEQUENCE, FORWARD_THREAD, GRID, BLOCK, WIDTH };
#define NAMES "start duration timed category name thread args_start args_end whole " \
              "device stream correlation external sequence forward_thread grid block"

/* Beyond these a double no longer tells neighbouring nanoseconds apart, or a sum of two leaves 64 bits. */
#define LATEST_US 4600000000000000
#define LONGEST_US (1LL << 40)
#define LARGEST_COUNT (1LL << 48)
#define MOST_DIGITS 18
#define DEEPEST 60

typedef struct { Text text; size_t length; uint32_t hash; } Entry;
/* Texts, each once, numbered in order of appearance. */
typedef struct { Entry *entries; int32_t *slots; int64_t count; uint64_t size; } Numbers;
typedef struct { Text begin, end; Numbers names, threads, shapes; int64_t *rows; int64_t count, room; } Scan;

static int grow(Numbers *numbers)
{
    uint64_t size = numbers->size ? 2 * numbers->size : 1024;
    Entry *entries = realloc(numbers->entries, size / 2 * sizeof *entries);
    if (entries) numbers->entries = entries;
    int32_t *slots = malloc(size * sizeof *slots);
    if (!entries || !slots || size > INT32_MAX) { free(slots); return 0; }
    memset(slots, -1, size * sizeof *slots);
    for (int64_t number = 0; number < numbers->count; number++) {
        uint64_t slot = entries[number].hash & (size - 1);
        while (slots[slot] >= 0) slot = (slot + 1) & (size - 1);
        slots[slot] = (int32_t)number;
    }
    free(numbers->slots);
    numbers->slots = slots;
    numbers->size = size;
    return 1;
}

static uint32_t hash_of(Text text, size_t length)
{
    uint64_t hash = length * 0x9E3779B97F4A7C15u, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
    return (uint32_t)(hash >> 32);
}

/* The number of the text from `start` to `end`, or -1 where memory is short. */
static int64_t number_of(Numbers *numbers, Text start, Text end)
{
    if (2 * (uint64_t)numbers->count >= numbers->size && !grow(numbers)) return -1;
    size_t length = end - start;
    uint32_t hash = hash_of(start, length);
    uint64_t slot = hash & (numbers->size - 1);
    for (int32_t number; (number = numbers->slots[slot]) >= 0; slot = (slot + 1) & (numbers->size - 1)) {
        Entry *entry = numbers->entries + number;
        if (entry->hash == hash && entry->length == length && !memcmp(entry->text, start, length)) return number;
    }
    numbers->entries[numbers->count] = (Entry){start, length, hash};
    numbers->slots[slot] = (int32_t)numbers->count;
    return numbers->count++;
}

/* Each of these takes a place and returns the place behind what it reads, or NULL where that is no JSON or not read here.
   `*unusual` is set by what not every decoder takes: escapes, what is not ASCII and may be no UTF-8, long numbers. */

static inline Text blanks(Text at)
{
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
    return at;
}

static inline int is_digit(unsigned char character) { return (unsigned)(character - '0') < 10; }

static inline int is_hexadecimal(unsigned char character)
{
    return is_digit(character) || (unsigned)((character | 32) - 'a') < 6;
}

static Text escape(Text at)
{
    if (at[1] != 'u') return at[1] && strchr("\"\\/bfnrt", at[1]) ? at + 2 : NULL;
    for (int place = 2; place < 6; place++) if (!is_hexadecimal(at[place])) return NULL;
    /* Half a character may have no other half. */
    return (at[2] | 32) == 'd' && at[3] >= '8' ? NULL : at + 6;
}

/* A string's inside, from behind its quote up to the quote that ends it. Eight bytes are looked at together: a byte's
   high bit is set where it is a quote, a backslash or a control character, or stands above one that is. */
static inline Text inside(Text at, Text end, int *unusual)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t seen = 0;
    for (;;) {
        while (end - at >= 8) {
            uint64_t bytes;
            memcpy(&bytes, at, 8);
            uint64_t quote = bytes ^ each * '"', backslash = bytes ^ each * '\\';
            uint64_t found = ((quote - each) & ~quote) | ((backslash - each) & ~backslash)
                | ((bytes - each * ' ') & ~bytes);
            if (found & each * 0x80) break;
            seen |= bytes;
            at += 8;
        }
        while (*at != '"' && *at != '\\' && *at >= ' ') seen |= *at++;
        if (*at == '"') {
            *unusual |= (seen & each * 0x80) != 0;
            return at;
        }
        if (*at != '\\' || !(at = escape(at))) return NULL;
        *unusual = 1;
    }
}

static inline Text more_digits(Text at)
{
    Text first = at;
    while (is_digit(*at)) at++;
    return at > first ? at : NULL;
}

static inline Text whole_part(Text at) { return *at != '0' ? more_digits(at) : is_digit(at[1]) ? NULL : at + 1; }

static inline Text any_number(Text at, int *unusual)
{
    Text first = at;
    if (!(at = whole_part(at + (*at == '-')))) return NULL;
    if (at - first > MOST_DIGITS) *unusual = 1;
    if (*at == '.' && !(at = more_digits(at + 1))) return NULL;
    if (*at != 'e' && *at != 'E') return at;
    *unusual = 1;
    at++;
    return more_digits(at + (*at == '-' || *at == '+'));
}

static inline int64_t digits(Text at, Text end)
{
    int64_t value = 0;
    for (; at < end; at++) value = 10 * value + (*at - '0');
    return value;
}

static inline Text integer(Text at, int64_t *value)
{
    int negative = *at == '-';
    Text first = at + negative;
    if (!(at = whole_part(first)) || at - first > MOST_DIGITS || *at == '.' || *at == 'e' || *at == 'E') return NULL;
    *value = negative ? -digits(first, at) : digits(first, at);
    return at;
}

/* Microseconds with up to three digits behind the point, as nanoseconds. */
static inline Text time_of(Text at, int64_t most, int64_t *value)
{
    int negative = *at == '-';
    Text first = at + negative;
    if (!(at = whole_part(first)) || at - first > MOST_DIGITS) return NULL;
    int64_t whole = digits(first, at), part = 0;
    if (whole > most) return NULL;
    if (*at == '.') {
        first = at + 1;
        if (!(at = more_digits(first)) || at - first > 3) return NULL;
        part = digits(first, at) * (at - first == 1 ? 100 : at - first == 2 ? 10 : 1);
    }
    if (*at == 'e' || *at == 'E') return NULL;
    *value = negative ? -(1000 * whole + part) : 1000 * whole + part;
    return at;
}

static Text word(Text at)
{
    const char *words[] = {"null", "true", "false"};
    for (int place = 0; place < 3; place++) {
        size_t length = strlen(words[place]);
        /* The text ends with a zero, which is in none of them, so that nothing behind it is looked at. */
        if (!strncmp((const char *)at, words[place], length)) return at + length;
    }
    return NULL;
}

/* The key of an object's member, from its quote to the value; `*key_end` is where its closing quote is. */
static inline Text key(Text at, Text end, Text *key_end, int *unusual)
{
    if (*at != '"' || !(at = inside(at + 1, end, unusual))) return NULL;
    *key_end = at;
    at = blanks(at + 1);
    return *at == ':' ? blanks(at + 1) : NULL;
}

/* Any value. What it is nested in is a bit each, set where that is an object. */
static Text value(Text at, Text end, int *unusual)
{
    uint64_t objects = 0;
    int depth = 0;
    Text ignored;
    for (;;) {
        if (*at == '"') {
            if (!(at = inside(at + 1, end, unusual))) return NULL;
            at++;
        } else if (*at == '[' || *at == '{') {
            int is_object = *at == '{';
            at = blanks(at + 1);
            if (*at != (is_object ? '}' : ']')) {
                if (depth++ == DEEPEST) return NULL;
                objects = objects << 1 | is_object;
                if (is_object && !(at = key(at, end, &ignored, unusual))) return NULL;
                continue;
            }
            at++;
        } else if (!(at = *at == '-' || is_digit(*at) ? any_number(at, unusual) : word(at))) {
            return NULL;
        }
        for (;;) {
            if (!depth) return at;
            at = blanks(at);
            if (*at == ',') break;
            if (*at != (objects & 1 ? '}' : ']')) return NULL;
            objects >>= 1;
            depth--;
            at++;
        }
        at = blanks(at + 1);
        if (objects & 1 && !(at = key(at, end, &ignored, unusual))) return NULL;
    }
}

static inline int is(Text start, Text end, const char *name)
{
    size_t length = strlen(name);
    return (size_t)(end - start) == length && !memcmp(start, name, length);
}

static int argument(Text start, Text end)
{
    switch (end - start) {
    case 4: return is(start, end, "grid") ? GRID : WIDTH;
    case 5: return is(start, end, "block") ? BLOCK : WIDTH;
    case 6: return is(start, end, "device") ? DEVICE : is(start, end, "stream") ? STREAM : WIDTH;
    case 11: return is(start, end, "correlation") ? CORRELATION : is(start, end, "External id") ? EXTERNAL : WIDTH;
    case 13: return is(start, end, "Fwd thread id") ? FORWARD_THREAD : WIDTH;
    case 15: return is(start, end, "Sequence number") ? SEQUENCE : is(start, end, "Collective name") ? WHOLE : WIDTH;
    default: return WIDTH;
    }
}

static inline Text number(Text at, int field, int64_t *row)
{
    int64_t most = field == SEQUENCE || field == FORWARD_THREAD ? LARGEST_COUNT : INT64_MAX, found;
    if (!(at = integer(at, &found)) || found > most || found < -most) return NULL;
    row[field] = found;
    return at;
}

/* The arguments of an event, of which the row is to tell the numbers, or else that they are to be decoded whole. */
static Text arguments(Scan *scan, Text at, int64_t *row)
{
    int unusual = 0;
    uint32_t seen = 0;
    if (*at != '{') {
        row[WHOLE] = 1;
        return value(at, scan->end, &unusual);
    }
    at = blanks(at + 1);
    if (*at == '}') return at + 1;
    for (;;) {
        Text start = at + 1, key_end;
        if (!(at = key(at, scan->end, &key_end, &unusual))) return NULL;
        int field = argument(start, key_end);
        unusual |= field == WHOLE || seen >> field & 1;
        seen |= field == WIDTH ? 0 : 1u << field;
        Text first = at;
        int is_number = field >= DEVICE && field <= FORWARD_THREAD;
        if (!is_number || !(at = number(first, field, row))) {
            unusual |= is_number;
            if (!(at = value(first, scan->end, &unusual))) return NULL;
            if ((field == GRID || field == BLOCK) && (row[field] = number_of(&scan->shapes, first, at)) < 0) return NULL;
        }
        at = blanks(at);
        if (*at == '}') break;
        if (*at != ',') return NULL;
        at = blanks(at + 1);
    }
    row[WHOLE] = unusual;
    return at + 1;
}

enum { PHASE = WIDTH, ARGUMENTS, OTHER };

static int member(Text start, Text end)
{
    switch (end - start) {
    case 2: return is(start, end, "ph") ? PHASE : is(start, end, "ts") ? START : OTHER;
    case 3: return is(start, end, "cat") ? CATEGORY : is(start, end, "tid") ? THREAD
        : is(start, end, "dur") ? DURATION : OTHER;
    case 4: return is(start, end, "name") ? NAME : is(start, end, "args") ? ARGUMENTS : OTHER;
    default: return OTHER;
    }
}

/* The value of an event's member, into its row; `*complete` is set by the phase of complete events. */
static Text member_value(Scan *scan, Text at, int field, int64_t *row, int *complete)
{
    int unusual = 0;
    Text first = at;
    switch (field) {
    case START:
        row[TIMED] = 1;
        return time_of(at, LATEST_US, row + START);
    case DURATION:
        return time_of(at, LONGEST_US, row + DURATION);
    case PHASE:
        *complete = at[0] == '"' && at[1] == 'X';
        return at[0] == '"' && at[1] >= 'A' && at[1] <= 'z' && at[1] != '\\' && at[2] == '"' ? at + 3 : NULL;
    case CATEGORY:
    case NAME:
        if (*at != '"' || !(at = inside(at + 1, scan->end, &unusual))) return NULL;
        return (row[field] = number_of(&scan->names, first + 1, at)) < 0 ? NULL : at + 1;
    case THREAD:
        if (!(at = value(at, scan->end, &unusual))) return NULL;
        return (row[THREAD] = number_of(&scan->threads, first, at)) < 0 ? NULL : at;
    case ARGUMENTS:
        if (!(at = arguments(scan, at, row))) return NULL;
        row[ARGS_START] = first - scan->begin;
        row[ARGS_END] = at - scan->begin;
        return at;
    default:
        return value(at, scan->end, &unusual);
    }
}

static Text event(Scan *scan, Text at)
{
    if (scan->count == scan->room) {
        int64_t room = scan->room ? 2 * scan->room : 4096;
        int64_t *rows = realloc(scan->rows, room * WIDTH * sizeof *rows);
        if (!rows) return NULL;
        scan->rows = rows;
        scan->room = room;
    }
    int64_t *row = scan->rows + scan->count * WIDTH;
    memset(row, 0, WIDTH * sizeof *row);
    row[CATEGORY] = row[NAME] = row[THREAD] = row[EXTERNAL] = row[SEQUENCE] = row[GRID] = row[BLOCK] = -1;
    int complete = 0, unusual = 0;
    uint32_t seen = 0;
    if (*at != '{') return NULL;
    at = blanks(at + 1);
    if (*at == '}') return at + 1;
    for (;;) {
        Text start = at + 1, key_end;
        if (!(at = key(at, scan->end, &key_end, &unusual)) || unusual) return NULL;
        int field = member(start, key_end);
        if (field != OTHER && seen >> field & 1) return NULL;
        seen |= 1u << field;
        if (!(at = member_value(scan, at, field, row, &complete))) return NULL;
        at = blanks(at);
        if (*at == '}') break;
        if (*at != ',') return NULL;
        at = blanks(at + 1);
    }
    scan->count += complete;
    return at + 1;
}

/* How many events the text holds, or -1 where anything in it is unusual. */
static int64_t events(Scan *scan)
{
    int64_t count = 0;
    Text at = blanks(scan->begin);
    if (at == scan->end) return 0;
    for (;;) {
        if (!(at = event(scan, at))) return -1;
        count++;
        at = blanks(at);
        if (*at != ',') return at == scan->end ? count : -1;
        at = blanks(at + 1);
    }
}

/* A list in JSON of all texts, each between two `quote`s. */
static PyObject *listed(const Numbers *numbers, const char *quote)
{
    size_t edge = strlen(quote), size = 2;
    for (int64_t number = 0; number < numbers->count; number++) size += numbers->entries[number].length + 2 * edge + 1;
    char *text = malloc(size), *at = text;
    if (!text) return PyErr_NoMemory();
    *at++ = '[';
    for (int64_t number = 0; number < numbers->count; number++) {
        const Entry *entry = numbers->entries + number;
        if (number) *at++ = ',';
        memcpy(at, quote, edge);
        memcpy(at + edge, entry->text, entry->length);
        memcpy(at + edge + entry->length, quote, edge);
        at += entry->length + 2 * edge;
    }
    *at++ = ']';
    PyObject *list = PyBytes_FromStringAndSize(text, at - text);
    free(text);
    return list;
}

static PyObject *result_of(const Scan *found, int64_t count)
{
    PyObject *rows = PyBytes_FromStringAndSize((char *)found->rows, found->count * WIDTH * sizeof *found->rows);
    PyObject *names = listed(&found->names, "\""), *threads = listed(&found->threads, "");
    PyObject *shapes = listed(&found->shapes, ""), *result = NULL;
    if (rows && names && threads && shapes)
        result = Py_BuildValue("LOOOO", (long long)count, rows, names, threads, shapes);
    Py_XDECREF(rows);
    Py_XDECREF(names);
    Py_XDECREF(threads);
    Py_XDECREF(shapes);
    return result;
}

static void release(Numbers *numbers)
{
    free(numbers->entries);
    free(numbers->slots);
}

static PyObject *scan(PyObject *module, PyObject *data)
{
    (void)module;
    char *text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &text, &size) < 0) return NULL;
    Scan found = {.begin = (Text)text, .end = (Text)text + size};
    int64_t count = events(&found);
    PyObject *result = count < 0 ? Py_BuildValue("") : result_of(&found, count);
    free(found.rows);
    release(&found.names);
    release(&found.threads);
    release(&found.shapes);
    return result;
}

static PyMethodDef METHODS[] = {{"scan", scan, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static int filled(PyObject *module) { return PyModule_AddStringConstant(module, "COLUMNS", NAMES); }

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, filled}, {0, NULL}};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "scan", NULL, 0, METHODS, SLOTS, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_scan(void) { return PyModuleDef_Init(&MODULE); }
