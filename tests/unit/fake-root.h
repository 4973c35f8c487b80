/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A folder with a /sys and a /proc of plain files and links, for the readers of these that take a root. Asserts that all
 * it does succeeds; one at a time. */

/* The folder, from fake_root_make() to fake_root_remove(). */
extern char root[64];

int fake_root_make(void); /* 0 or -1, as a cmocka setup function's */
int fake_root_remove(void);

/* Folders and files below it by the paths that they have on a real machine; folders are made as they are needed. */
void make_folders(const char *path);
void write_file(const char *folder, const char *name, const char *text);
void make_link(const char *folder, const char *name, const char *target);
