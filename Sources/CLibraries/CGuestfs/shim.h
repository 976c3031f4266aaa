#include <guestfs.h>

// Masks of optional arguments: Swift does not import UINT64_C(1) << n.
static const uint64_t GLOVEBOX_DRIVE_READONLY = GUESTFS_ADD_DRIVE_OPTS_READONLY_BITMASK;
static const uint64_t GLOVEBOX_DRIVE_FORMAT = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK;
static const uint64_t GLOVEBOX_DRIVE_LABEL = GUESTFS_ADD_DRIVE_OPTS_LABEL_BITMASK;
static const uint64_t GLOVEBOX_DRIVE_PROTOCOL = GUESTFS_ADD_DRIVE_OPTS_PROTOCOL_BITMASK;
static const uint64_t GLOVEBOX_DRIVE_SERVER = GUESTFS_ADD_DRIVE_OPTS_SERVER_BITMASK;

#include <signal.h>
#include <sys/prctl.h>

/// prctl(2), PR_SET_PDEATHSIG with SIGKILL: variadic, so Swift does not import it.
static inline int glovebox_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }
