/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The registers of QEMU's edu device (1234:11e8), from its docs/specs/edu.rst, and the one operation that
 * two programs need: a DMA. The device reaches 28 bits of address, and has one page of its own. */

#include "vfio-client.h"

enum {
        EDU_ID = 0x00,
        EDU_LIVENESS = 0x04, /* what is written reads back inverted */
        EDU_FACTORIAL = 0x08,
        EDU_STATUS = 0x20,
        EDU_IRQ_STATUS = 0x24,
        EDU_IRQ_RAISE = 0x60,
        EDU_IRQ_ACK = 0x64,
        EDU_DMA_SOURCE = 0x80,
        EDU_DMA_DESTINATION = 0x88,
        EDU_DMA_COUNT = 0x90,
        EDU_DMA_COMMAND = 0x98,
        EDU_BUFFER = 0x40000, /* the device's own address of its page */
};

enum {
        EDU_STATUS_COMPUTING = 0x01,
        EDU_DMA_START = 0x01,
        EDU_DMA_FROM_DEVICE = 0x02,
};

#define EDU_ID_VALUE 0x010000edu

/* Moves a page between the address `iova` and the device's page, and waits for the end; false where it did
 * not come within five seconds. */
static inline bool edu_dma(const ClientDevice *edu, bool from_device, uint64_t iova)
{
        write64(edu, EDU_DMA_SOURCE, from_device ? EDU_BUFFER : iova);
        write64(edu, EDU_DMA_DESTINATION, from_device ? iova : EDU_BUFFER);
        write64(edu, EDU_DMA_COUNT, PAGE);
        write64(edu, EDU_DMA_COMMAND, EDU_DMA_START | (from_device ? EDU_DMA_FROM_DEVICE : 0));
        return wait_clear(edu, EDU_DMA_COMMAND, EDU_DMA_START, 5000);
}
