/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Selectors: parsing, the proof that one can never match, and matching. All values are brought to the
 * kernel's spelling when they are parsed (addresses, classes and UUIDs in lower case), so that matching only
 * compares. Everything that a selector points to is owned by the arena that it was parsed into. */

#include "policy/selector.h"

#include <ctype.h>
#include <stdarg.h>

#include "policy/glob.h"
#include "policy/value.h"

#define SHAPE_UUID  "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
#define SHAPE_CLASS "xxxxxx"

/* The kernel prints a domain with four digits or as many as it needs. */
static const char *const pci_shapes[] = {
        "xxxx:xx:bx.o", "nxxxx:xx:bx.o", "nxxxxx:xx:bx.o", "nxxxxxx:xx:bx.o", "nxxxxxxx:xx:bx.o",
};

typedef int (*TermParser)(SelectorTerm *term, char *value, const char *text, char *error);

static _printf_(2, 3) int refuse(char *error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(error, SELECTOR_ERROR_MAX, format, ap);
        va_end(ap);
        return -EINVAL;
}

static void lower_case(char *s)
{
        for (; *s; s++)
                *s = (char)tolower((unsigned char)*s);
}

static bool fits_pci(const char *pattern)
{
        for (size_t i = 0; i < ELEMENTSOF(pci_shapes); i++)
                if (glob_fits(pattern, pci_shapes[i]))
                        return true;
        return false;
}

static int parse_glob(SelectorTerm *term, char *value, const char *text, char *error)
{
        if (!glob_is_valid(value))
                return refuse(error, "%.100s: a [ is not closed; write ] after the characters it lists",
                              text);

        term->literal = glob_is_literal(value);
        return 0;
}

static int parse_address(SelectorTerm *term, char *value, const char *text, char *error)
{
        char with_domain[128];
        int r;

        r = parse_glob(term, value, text, error);
        if (r < 0)
                return r;

        lower_case(value);
        if (fits_pci(value))
                return 0;

        (void)snprintf(with_domain, sizeof(with_domain), "0000:%.100s", value);
        if (fits_pci(with_domain))
                return refuse(error, "%.100s: the PCI domain is missing; write %s:%s", text,
                              selector_kind_to_string(term->kind), with_domain);

        return refuse(error,
                      "%.100s: no PCI address looks like that; write DDDD:BB:DD.F in hexadecimal, as "
                      "%s:0000:3b:00.0",
                      text, selector_kind_to_string(term->kind));
}

static int parse_class(SelectorTerm *term, char *value, const char *text, char *error)
{
        int r;

        r = parse_glob(term, value, text, error);
        if (r < 0)
                return r;

        lower_case(value);
        if (!glob_fits(value, SHAPE_CLASS))
                return refuse(
                        error,
                        "%.100s: no PCI class looks like that; write six hexadecimal digits or a pattern of "
                        "them, as class:0200*",
                        text);
        return 0;
}

static int parse_pci_id(SelectorTerm *term, char *value, const char *text, char *error)
{
        char *rest = value, *field;
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(term->ids); i++)
                term->ids[i] = -1;

        while ((field = strsep(&rest, ":"))) {
                unsigned id = 0;

                if (n == ELEMENTSOF(term->ids) || (!streq(field, "*") && value_hex(field, 4, &id) < 0))
                        return refuse(error,
                                      "%.100s: write VVVV:DDDD or VVVV:DDDD:SSSS:DDDD, each four "
                                      "hexadecimal digits "
                                      "or *, as pci-id:8086:10ca",
                                      text);
                term->ids[n++] = streq(field, "*") ? -1 : (int)id;
        }
        if (n != 2 && n != 4)
                return refuse(error, "%.100s: write two or four numbers, as pci-id:8086:10ca", text);
        return 0;
}

static int parse_name(SelectorTerm *term, char *value, const char *text, char *error)
{
        term->literal = true;
        if (!glob_is_literal(value))
                return refuse(error, "%.100s: %s: takes a plain name, not a pattern; give the name in full",
                              text, selector_kind_to_string(term->kind));
        if (strchr(value, '/'))
                return refuse(error, "%.100s: such a name has no slash; give the name alone", text);
        return 0;
}

static int parse_number(SelectorTerm *term, char *value, const char *text, char *error)
{
        uint64_t number;

        if (value_unsigned(value, INT32_MAX, &number) < 0)
                return refuse(error, "%.100s: write a number from 0 to %d, as %s:3", text, INT32_MAX,
                              selector_kind_to_string(term->kind));

        term->literal = true;
        term->number = (int)number;
        return 0;
}

static int parse_uuid(SelectorTerm *term, char *value, const char *text, char *error)
{
        term->literal = true;
        lower_case(value);
        if (!glob_is_literal(value) || !glob_fits(value, SHAPE_UUID))
                return refuse(error, "%.100s: that is no UUID; write %s, or use id: for a pattern", text,
                              "mdev:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        return 0;
}

static int parse_pool(SelectorTerm *term, char *value, const char *text, char *error)
{
        term->literal = true;
        if (strchr(value, '*'))
                return refuse(error,
                              "%.100s: a count belongs in a request, not in a policy; write pool:NAME and "
                              "limit with devices-max",
                              text);
        return 0;
}

/* One row for each kind of selector; `bus` is the only bus on which it can match. */
static const struct {
        const char *name;
        const char *bus;
        TermParser parse;
} kinds[] = {
        [SELECTOR_PCI] = { "pci", "pci", parse_address },
        [SELECTOR_PCI_ID] = { "pci-id", "pci", parse_pci_id },
        [SELECTOR_CLASS] = { "class", "pci", parse_class },
        [SELECTOR_DRIVER] = { "driver", NULL, parse_name },
        [SELECTOR_GROUP] = { "group", NULL, parse_number },
        [SELECTOR_VF_OF] = { "vf-of", "pci", parse_address },
        [SELECTOR_NUMA] = { "numa", NULL, parse_number },
        [SELECTOR_MDEV] = { "mdev", "mdev", parse_uuid },
        [SELECTOR_MDEV_TYPE] = { "mdev-type", "mdev", parse_name },
        [SELECTOR_BUS] = { "bus", NULL, parse_name },
        [SELECTOR_ID] = { "id", NULL, parse_glob },
        [SELECTOR_POOL] = { "pool", NULL, parse_pool },
        [SELECTOR_ANY] = { "any", NULL, NULL },
};

const char *selector_kind_to_string(SelectorKind kind)
{
        return (size_t)kind < ELEMENTSOF(kinds) ? kinds[kind].name : NULL;
}

static int kind_from_string(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kinds[i].name, name))
                        return (int)i;
        return -EINVAL;
}

static int parse_term(Arena *arena, char *text, SelectorTerm *ret_term, char *error)
{
        _cleanup_free_ char *kind_name = NULL;
        char *colon = strchr(text, ':');
        SelectorTerm term = {};
        char *value;
        int kind, r;

        if (text[strcspn(text, " \t")])
                return refuse(error, "%.100s: a blank inside a selector; separate selectors with commas",
                              text);

        kind_name = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
        if (!kind_name)
                return -ENOMEM;

        kind = kind_from_string(kind_name);
        if (kind < 0 && fits_pci(text))
                return refuse(error, "%.100s: say what kind of selector this is: pci:%.100s", text, text);
        if (kind < 0)
                return refuse(error,
                              "%.100s: no such selector; use pci:, pci-id:, class:, driver:, group:, "
                              "vf-of:, numa:, "
                              "mdev:, mdev-type:, bus:, id:, pool: or any",
                              text);

        term.kind = (SelectorKind)kind;
        if (term.kind == SELECTOR_ANY) {
                if (colon)
                        return refuse(error, "%.100s: any takes no value; write any alone", text);
                *ret_term = term;
                return 0;
        }
        if (!colon || colon[1] == '\0')
                return refuse(error, "%.100s: the value is missing; write %s:VALUE", text, kind_name);

        value = arena_strdup(arena, colon + 1);
        if (!value)
                return -ENOMEM;

        term.value = value;
        r = kinds[term.kind].parse(&term, value, text, error);
        if (r < 0)
                return r;

        *ret_term = term;
        return 0;
}

/* The bus on which alone the term can match, or NULL. */
static const char *term_bus(const SelectorTerm *term)
{
        return term->kind == SELECTOR_BUS ? term->value : kinds[term->kind].bus;
}

static bool ids_contradict(const SelectorTerm *a, const SelectorTerm *b)
{
        for (size_t i = 0; i < ELEMENTSOF(a->ids); i++)
                if (a->ids[i] >= 0 && b->ids[i] >= 0 && a->ids[i] != b->ids[i])
                        return true;
        return false;
}

/* Is it certain that no device satisfies both terms? */
static bool terms_contradict(const SelectorTerm *a, const SelectorTerm *b)
{
        const char *bus_a = term_bus(a), *bus_b = term_bus(b);

        if (bus_a && bus_b && !streq(bus_a, bus_b))
                return true;

        if (a->kind == b->kind)
                switch (a->kind) {
                case SELECTOR_PCI:
                case SELECTOR_CLASS:
                case SELECTOR_VF_OF:
                case SELECTOR_ID: return glob_disjoint(a->value, b->value);
                case SELECTOR_PCI_ID: return ids_contradict(a, b);
                case SELECTOR_GROUP:
                case SELECTOR_NUMA: return a->number != b->number;
                case SELECTOR_DRIVER:
                case SELECTOR_MDEV:
                case SELECTOR_MDEV_TYPE: return !streq(a->value, b->value);
                default: return false;
                }

        /* the id of a PCI device is its address, and an mdev's its UUID */
        if ((a->kind == SELECTOR_PCI || a->kind == SELECTOR_MDEV) && b->kind == SELECTOR_ID)
                return glob_disjoint(a->value, b->value);
        if (a->kind == SELECTOR_ID && (b->kind == SELECTOR_PCI || b->kind == SELECTOR_MDEV))
                return glob_disjoint(a->value, b->value);

        /* no function is virtual to itself */
        if ((a->kind == SELECTOR_PCI && b->kind == SELECTOR_VF_OF) ||
            (a->kind == SELECTOR_VF_OF && b->kind == SELECTOR_PCI))
                return a->literal && b->literal && streq(a->value, b->value);
        return false;
}

/* Cuts the blanks off both ends, in place. */
static char *trim(char *s)
{
        size_t n;

        s += strspn(s, " \t");
        n = strlen(s);
        while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
                s[--n] = '\0';
        return s;
}

int selector_parse(Arena *arena, const char *text, PolicyWhere where, Selector *ret, char *error)
{
        _cleanup_free_ char *copy = strdup(text);
        SelectorTerm terms[SELECTOR_TERMS_MAX] = {};
        const char *words[SELECTOR_TERMS_MAX];
        Selector selector = { .where = where };
        char *rest, *word;
        int r;

        if (!copy)
                return -ENOMEM;

        rest = trim(copy);
        if (*rest == '\0')
                return refuse(error, "an empty selector; take the comma away or write a selector");

        selector.text = arena_strdup(arena, rest);
        if (!selector.text)
                return -ENOMEM;

        while ((word = strsep(&rest, "+"))) {
                word = trim(word);
                if (*word == '\0')
                        return refuse(error, "%.200s: nothing on one side of a +; write a selector on both",
                                      selector.text);
                if (selector.n_terms == SELECTOR_TERMS_MAX)
                        return refuse(error, "%.200s: more than %u selectors joined with +; use fewer",
                                      selector.text, SELECTOR_TERMS_MAX);

                r = parse_term(arena, word, terms + selector.n_terms, error);
                if (r < 0)
                        return r;
                words[selector.n_terms] = word;

                for (size_t i = 0; i < selector.n_terms; i++)
                        if (terms_contradict(terms + i, terms + selector.n_terms))
                                return refuse(error,
                                              "%.200s: can never match: no device is both %.100s and "
                                              "%.100s; separate "
                                              "them with a comma to mean either",
                                              selector.text, words[i], word);
                selector.n_terms++;
        }

        selector.terms = arena_alloc(arena, selector.n_terms, sizeof(*selector.terms));
        if (!selector.terms)
                return -ENOMEM;
        memcpy(selector.terms, terms, selector.n_terms * sizeof(*terms));

        *ret = selector;
        return 0;
}

static bool pci_id_matches(const SelectorTerm *term, const DeviceFacts *device)
{
        const int ids[] = { device->vendor, device->product, device->subsystem_vendor,
                            device->subsystem_product };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                if (term->ids[i] >= 0 && term->ids[i] != ids[i])
                        return false;
        return true;
}

static bool class_matches(const SelectorTerm *term, const DeviceFacts *device)
{
        char class[16];

        (void)snprintf(class, sizeof(class), "%06x", device->class & 0xffffffU);
        return glob_matches(term->value, class);
}

static bool term_matches(const SelectorTerm *term, const DeviceFacts *device)
{
        const char *bus = term_bus(term);

        if (bus && !streq(bus, strempty(device->bus)))
                return false;

        switch (term->kind) {
        case SELECTOR_PCI:
        case SELECTOR_MDEV:
        case SELECTOR_ID: return glob_matches(term->value, strempty(device->id));
        case SELECTOR_PCI_ID: return pci_id_matches(term, device);
        case SELECTOR_CLASS: return class_matches(term, device);
        case SELECTOR_DRIVER: return streq(term->value, strempty(device->driver));
        case SELECTOR_GROUP: return term->number == device->group;
        case SELECTOR_VF_OF:
                return device->physical_function && glob_matches(term->value, device->physical_function);
        case SELECTOR_NUMA: return term->number == device->numa_node;
        case SELECTOR_MDEV_TYPE: return streq_ptr(term->value, device->mdev_type);
        case SELECTOR_POOL: return term->pool && selector_list_find(&term->pool->devices, device);
        default: return true; /* any; and a bus, which was compared above */
        }
}

bool selector_matches(const Selector *selector, const DeviceFacts *device)
{
        for (size_t i = 0; i < selector->n_terms; i++)
                if (!term_matches(selector->terms + i, device))
                        return false;
        return selector->n_terms > 0;
}

const Selector *selector_list_find(const SelectorList *list, const DeviceFacts *device)
{
        for (size_t i = 0; i < list->n_items; i++)
                if (selector_matches(list->items + i, device))
                        return list->items + i;
        return NULL;
}

const char *selector_bus(const Selector *selector)
{
        for (size_t i = 0; i < selector->n_terms; i++) {
                const char *bus = term_bus(selector->terms + i);

                if (bus)
                        return bus;
        }
        return NULL;
}
