#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stddef.h>

// libvirt casts each callback to one type by a macro, which Swift does not import.

static inline int glovebox_on_lifecycle(virConnectPtr connection,
                                        virConnectDomainEventCallback callback, void *opaque,
                                        virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

static inline int glovebox_on_reboot(virConnectPtr connection,
                                     virConnectDomainEventGenericCallback callback, void *opaque,
                                     virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}
