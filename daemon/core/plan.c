/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Planning an Acquire. The order of the checks is the order of the refusals: the form of the request, identity, tenant,
 * the process, devices, then what policy/decide.c holds (selectors, groups, isolation, quotas, locked memory), and at
 * the end what only the state of the machine can refuse. Pure, but for the questions about the process. */

#include "daemon/core/broker-internal.h"
#include "daemon/core/linger.h"
#include "daemon/core/mdev.h"
#include "daemon/core/select.h"
#include "policy/decide.h"

/* The VFIO driver for the device: what policy says, else the one that it is on, else the best one known; "" for none. */
static const char *driver_of(const Device *device, const Policy *policy)
{
        DeviceFacts facts = device_facts(device);
        const PolicyDevice *override = policy_device_override(policy, &facts);

        if (override && override->driver)
                return override->driver;
        return device->info.driver_is_vfio ? device->info.driver : device->info.vfio_driver;
}

int plan_result_of_verdict(const Verdict *verdict, Refusal *refusal)
{
        static const Result table[] = {
                [VERDICT_ALLOWED] = RESULT_OK,
                [VERDICT_NO_TENANT] = RESULT_NO_TENANT,
                [VERDICT_AMBIGUOUS_TENANT] = RESULT_AMBIGUOUS_TENANT,
                [VERDICT_DENIED] = RESULT_DENIED_BY_POLICY,
                [VERDICT_GROUP_SPLIT] = RESULT_GROUP_SPLIT,
                [VERDICT_RESET_SPLIT] = RESULT_GROUP_SPLIT,
                [VERDICT_UNSAFE_INTERRUPTS] = RESULT_DENIED_BY_POLICY,
                [VERDICT_NOIOMMU] = RESULT_DENIED_BY_POLICY,
                [VERDICT_VF_OF_FOREIGN_PF] = RESULT_DENIED_BY_POLICY,
                [VERDICT_BACKEND] = RESULT_BACKEND_UNAVAILABLE,
                [VERDICT_DEVICE_QUOTA] = RESULT_DEVICE_QUOTA_EXCEEDED,
                [VERDICT_LEASE_QUOTA] = RESULT_LEASE_QUOTA_EXCEEDED,
                [VERDICT_MEMLOCK_TENANT] = RESULT_MEMLOCK_BUDGET_EXCEEDED,
                [VERDICT_MEMLOCK_HOST] = RESULT_MEMLOCK_BUDGET_EXCEEDED,
                [VERDICT_TAKEN] = RESULT_DEVICE_TAKEN,
        };

        if (verdict->code == VERDICT_ALLOWED)
                return 0;
        return refuse(refusal, table[verdict->code], "%s", verdict->text);
}

static int check_form(const AcquireRequest *request, Refusal *refusal)
{
        if (request->n_devices == 0)
                return refuse(refusal, RESULT_INVALID_ARGS,
                              "The list of devices is empty: name at least one.");
        if (request->container &&
            (strchr(request->container, '/') || strlen(request->container) > CONTAINER_NAME_MAX))
                return refuse(
                        refusal, RESULT_INVALID_ARGS,
                        "Option container: a name has at most %d bytes and no slash; leave it out for a "
                        "private container.",
                        CONTAINER_NAME_MAX);
        if (request->lifetime == LIFETIME_EXPLICIT && !request->admin)
                return refuse(
                        refusal, RESULT_ACCESS_DENIED,
                        "Option lifetime: only an administrator may ask for `explicit`; use `process` or "
                        "`connection`.");
        return 0;
}

/* The process that will hold the lease: the caller, or the one behind the `pidfd` option, or the one that holds it. */
static int check_process(Broker *broker, const AcquireRequest *request, AcquirePlan *plan, Refusal *refusal)
{
        Host *host = broker->host;
        ProcessFacts *facts = &plan->process;
        int r;

        if (request->target) {
                const Holder *holder = request->target->holder;

                if (!holder)
                        return refuse(refusal, RESULT_PROCESS_UNUSABLE, "Process %d has ended.",
                                      (int)request->target->pid);
                plan->pid = holder->pid;
                plan->pidfd = holder->pidfd;
                *facts = (ProcessFacts){ .uid = holder->uid, .start_time = holder->start_time };
                return 0;
        }

        plan->pid = request->target_pidfd >= 0 ? request->target_pid : request->caller_pid;
        plan->pidfd = request->target_pidfd >= 0 ? request->target_pidfd : request->caller_pidfd;

        r = plan->pidfd < 0 || plan->pid <= 0
                    ? -ESRCH
                    : host->ops->process_facts(host, plan->pid, plan->pidfd, facts);
        if (r == -ESRCH)
                return refuse(refusal, RESULT_PROCESS_UNUSABLE, "Process %d has ended.", (int)plan->pid);
        if (r < 0)
                return r;
        if (facts->zombie)
                return refuse(refusal, RESULT_PROCESS_UNUSABLE,
                              "Process %d is a zombie: its first thread has ended.", (int)plan->pid);

        if (facts->thread)
                return refuse(refusal, RESULT_PROCESS_UNUSABLE,
                              "%d is a thread; give a pidfd of the process that it belongs to.",
                              (int)plan->pid);
        if (plan->tenant->allow_on_behalf && request->target_pidfd >= 0)
                ;
        else if (facts->mixed_uids || facts->uid != request->caller.uid)
                return refuse(refusal, RESULT_PROCESS_UNUSABLE,
                              "Process %d does not run wholly as uid %u, the caller's; tenant %s has no "
                              "allow-on-behalf.",
                              (int)plan->pid, (unsigned)request->caller.uid, plan->tenant->name);
        else if (request->target_pidfd >= 0) {
                CallerFacts target = request->target_facts;
                TenantMatchKey failed = _TENANT_MATCH_MAX;

                target.uid = facts->uid;
                if (!tenant_match(&plan->tenant->match, &target, &failed))
                        return refuse(refusal, RESULT_PROCESS_UNUSABLE,
                                      "Process %d is not tenant %s as the caller is: %s does not hold for "
                                      "it, and the tenant has no allow-on-behalf.",
                                      (int)plan->pid, plan->tenant->name,
                                      tenant_match_key_to_string(failed));
        }
        if (facts->ipc_lock && !plan->tenant->allow_ipc_lock)
                return refuse(refusal, RESULT_DENIED_BY_POLICY,
                              "Process %d has CAP_IPC_LOCK, so its locked memory would not be counted; drop "
                              "it, or "
                              "set allow-ipc-lock = yes in [tenant %s].",
                              (int)plan->pid, plan->tenant->name);
        return 0;
}

/* A tenant other than `tenant` that has a device of the reset set, or else any that has one, or NULL. */
static const char *reset_set_tenant(Broker *broker, const Device *device, const char *tenant)
{
        const char *found = NULL;

        for (const Device *other = broker->devices; other; other = other->hh.next) {
                if (!device_tenant(other) || !device_reset_hits(device, other))
                        continue;
                found = device_tenant(other);
                if (!streq(found, tenant))
                        return found;
        }
        return found;
}

void plan_decide_row(Broker *broker, const PolicyTenant *tenant, const Device *device,
                     DeviceFacts *ret_facts, DecideDevice *ret)
{
        const Device *pf = device->info.physical_function[0]
                                   ? broker_device(broker, device->info.physical_function)
                                   : NULL;
        const Device *parent =
                device->info.mdev_parent[0] ? broker_device(broker, device->info.mdev_parent) : NULL;
        bool admin = device->admin_job || (pf && pf->admin_job) || (parent && parent->admin_job);
        HostIsolation host = {};
        Isolation isolation;
        bool kept = linger_is_for_other(device, tenant->name);
        bool foreign = device->only_for[0] && !streq(device->only_for, tenant->name);

        broker->host->ops->isolation(broker->host, &host);
        isolation = device_isolation(device, &host);
        *ret_facts = device_facts(device);
        *ret = (DecideDevice){
                .facts = ret_facts,
                /* A device that is held itself is taken, which is the plainer word. */
                .group_tenant =
                        device->group && !device->lease && !kept ? group_tenant(device->group) : NULL,
                .reset_set_tenant =
                        device->lease || kept ? NULL : reset_set_tenant(broker, device, tenant->name),
                .pf_on_vfio = pf && (pf->info.driver_is_vfio || pf->lease),
                .pf_tenant = pf && pf->lease ? pf->lease->tenant->name : NULL,
                /* Without a group it is refused for that. Where it is not known, the kernel's word at the trial bind will do, unless it was told to say yes. */
                .msi_isolated = (!device->group && device_needs_group(device)) ||
                                isolation == ISOLATION_YES ||
                                (isolation == ISOLATION_UNKNOWN && host.unsafe_backends == 0),
                .noiommu = device->info.noiommu,
                /* With its parent's driver an mdev goes. */
                .taken = device->lease || (parent && parent->lease) || admin || foreign || kept,
                .taken_text =
                        foreign ? "an mdev that was another tenant's, and cannot be proven free: it is "
                                  "for others once it was removed and made anew"
                        : admin && !device->old_job ? "being worked on by an administrator"
                        : kept                      ? "reserved for the tenant that had it last, for a while"
                        : device->state == DEVICE_RECLAIMING ? "being reclaimed"
                                                             : "in use",
        };
}

#define HOLDER_TEXT_MAX 256U

/* For administrators: who has it, besides what it is. */
static void name_holder(const Device *device, char text[static HOLDER_TEXT_MAX], DecideDevice *row)
{
        if (device->lease)
                (void)snprintf(text, HOLDER_TEXT_MAX, "%s: lease %s of tenant %s, process %d",
                               row->taken_text, device->lease->id, device->lease->tenant->name,
                               (int)device->lease->pid);
        else if (device->kept_for[0])
                (void)snprintf(text, HOLDER_TEXT_MAX, "reserved for tenant %s, that had it last",
                               device->kept_for);
        else
                return;
        row->taken_text = text;
}

static int decide(Broker *broker, const AcquireRequest *asked, AcquirePlan *plan, Refusal *refusal)
{
        DeviceFacts facts[JOB_DEVICES_MAX];
        DecideDevice rows[JOB_DEVICES_MAX] = {};
        char holders[JOB_DEVICES_MAX][HOLDER_TEXT_MAX];
        const Tenant *tenant = broker_tenant(broker, plan->tenant->name); /* each of the policy's is there */
        DecideRequest request = {
                .policy = broker->policy,
                .tenant = plan->tenant,
                .devices = rows,
                .n_devices = plan->n_devices,
                .backend = plan->backend,
                .memlock = plan->memlock,
                .containers = 1,
                .extends_lease = plan->target != NULL,
                .devices_leased = tenant->devices_leased +
                                  linger_count(broker, plan->tenant->name, plan->devices, plan->n_devices),
                .leases = tenant->n_leases,
                .memlock_committed = tenant->memlock_committed,
                .host_committed = broker->memlock_committed,
                .mem_total = broker->host->ops->mem_total(broker->host),
                .admin = asked->admin,
        };
        Verdict verdict;
        int r;

        for (size_t i = 0; i < plan->n_devices; i++) {
                plan_decide_row(broker, plan->tenant, plan->devices[i], facts + i, rows + i);
                if (asked->admin && rows[i].taken)
                        name_holder(plan->devices[i], holders[i], rows + i);
        }

        decide_acquire_traced(&request, asked->trace, &verdict);
        r = plan_result_of_verdict(&verdict, refusal);
        if (r == 0)
                (void)snprintf(plan->rule, sizeof(plan->rule), "%s", verdict.text);
        return r;
}

/* The kernel lists the bus reset for devices that share their bus too, and then refuses it (pci_parent_bus_reset() in
 * drivers/pci/pci.c, Linux 6.12; seen with two devices behind one bridge). */
bool broker_can_reset(Broker *broker, const Device *device)
{
        if (!device_reset_is_told(device) || device_has_function_reset(device))
                return true;
        for (const Device *other = broker->devices; other; other = other->hh.next)
                if (device_reset_hits(device, other))
                        return false;
        return device->info.n_reset_methods > 0;
}

const Device *broker_leased_function(Broker *broker, const Device *device, const char *tenant)
{
        for (const Device *other = broker->devices; other; other = other->hh.next)
                if (other->lease &&
                    (streq(other->info.physical_function, device->info.id) ||
                     streq(other->info.mdev_parent, device->info.id)) &&
                    !(tenant && streq(other->lease->tenant->name, tenant)))
                        return other;
        return NULL;
}

/* The backend, where the request leaves it open: that of the container or the lease that is joined, else the better one of
 * those that the kernel, the policy and all of the devices offer. */
static void choose_backend(Broker *broker, const AcquireRequest *request, AcquirePlan *plan)
{
        const Container *container =
                plan->container ? broker_container(broker, plan->tenant->name, plan->container) : NULL;

        plan->backend = request->backend;
        if (plan->target)
                plan->backend = plan->target->backend;
        else if (plan->backend == 0 && container && container_in_use(broker, container, NULL))
                plan->backend = container->backend;
        else if (plan->backend == 0 && container)
                plan->backend = container->declared_backend;
        if (plan->backend != 0)
                return;

        plan->backend = broker->host->ops->backends(broker->host) & plan->tenant->backends &
                        broker->policy->broker.backends;
        for (size_t i = 0; i < plan->n_devices; i++)
                if (!plan->devices[i]->info.iommufd && (plan->backend & POLICY_BACKEND_GROUP))
                        plan->backend &= ~(unsigned)POLICY_BACKEND_IOMMUFD;
        if (plan->backend & POLICY_BACKEND_IOMMUFD)
                plan->backend = POLICY_BACKEND_IOMMUFD;
}

static const char *backend_name(unsigned backend)
{
        return backend == POLICY_BACKEND_GROUP ? "group" : "iommufd";
}

static int check_backend(Broker *broker, const AcquirePlan *plan, Refusal *refusal)
{
        unsigned offered = broker->host->ops->backends(broker->host) & broker->policy->broker.backends;

        if (plan->backend != 0 && (plan->backend & offered))
                return 0;
        return refuse(refusal, RESULT_BACKEND_UNAVAILABLE,
                      "The %s backend is not offered here; %s and %s. The Backends property lists what is.",
                      plan->backend == 0 ? "tenant's" : backend_name(plan->backend),
                      offered & POLICY_BACKEND_IOMMUFD ? "iommufd is" : "this kernel has no /dev/iommu",
                      offered & POLICY_BACKEND_GROUP ? "group is"
                                                     : "no /dev/vfio/vfio, or the policy has it not");
}

/* What of the container refuses: another backend, another container for the same group, a context that is lost. */
static int check_container(Broker *broker, const AcquirePlan *plan, Refusal *refusal)
{
        const Container *container =
                plan->container ? broker_container(broker, plan->tenant->name, plan->container) : NULL;
        bool joins = container && container_in_use(broker, container, NULL);

        if (plan->container && !plan->target && !plan->tenant->share_containers)
                return refuse(refusal, RESULT_DENIED_BY_POLICY,
                              "Tenant %s has no named containers (share-containers = no); leave option "
                              "container out for a private one.",
                              plan->tenant->name);
        if (joins && !container->named && !plan->target)
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "%s is the private container of a lease, which no other can join.",
                              container->name);
        if (container && container->declared_backend && container->declared_backend != plan->backend)
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "Policy says that container %s is of the %s backend; ask for that, or for "
                              "another container.",
                              container->name, backend_name(container->declared_backend));
        if (joins && container->backend != plan->backend)
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "Container %s is of the %s backend; ask for that, or for another container.",
                              container->name, backend_name(container->backend));
        if (joins && container->lost && (container->named || container->backend == POLICY_BACKEND_GROUP))
                return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                              "Container %s is from before a restart of the broker, which has its file "
                              "descriptor no more: nothing can join it until its leases have ended.",
                              container->name);

        for (size_t i = 0; i < plan->n_devices; i++) {
                const Group *group = plan->devices[i]->group;

                for (size_t k = 0; group && k < group->n_devices; k++) {
                        const Lease *other = group->devices[k]->lease;

                        if (!other)
                                continue;
                        if (other->container == container && plan->backend == POLICY_BACKEND_GROUP &&
                            container_group_fd(container, group->number) < 0)
                                return refuse(
                                        refusal, RESULT_RATE_LIMITED,
                                        "Group %d of device %s is on its way into or out of container %s "
                                        "with lease %s; ask again.",
                                        group->number, plan->devices[i]->info.id, container->name,
                                        other->id);
                        if (other->container == container || (plan->backend == POLICY_BACKEND_IOMMUFD &&
                                                              other->backend == POLICY_BACKEND_IOMMUFD))
                                continue;
                        return refuse(refusal, RESULT_CONTAINER_INCOMPATIBLE,
                                      "Group %d of device %s is in container %s (%s backend), and the "
                                      "kernel lets a "
                                      "group be in one only%s.",
                                      group->number, plan->devices[i]->info.id, other->container->name,
                                      backend_name(other->backend),
                                      other->container->named ? ": name it"
                                                              : "; lease its devices in one call");
                }
        }
        return 0;
}

static bool may_force(const Device *device, const Policy *policy)
{
        DeviceFacts facts = device_facts(device);
        const PolicyDevice *override = policy_device_override(policy, &facts);

        return override && override->force_unbind;
}

int plan_check_usage(Broker *broker, const Device *device, Refusal *refusal)
{
        const char *id = device->info.id;
        DeviceUsage usage = {};
        int r;

        /* An mdev that would be made has no path yet. */
        if (device->info.driver_is_vfio || !device->info.path)
                return 0;
        r = broker->host->ops->device_usage(broker->host, &device->info, &usage);
        if (r < 0)
                return r;
        if (usage.kind == USAGE_ROOT)
                return refuse(
                        refusal, RESULT_DEVICE_BUSY_ON_HOST,
                        "Device %s is in use on the host: %s. It is never taken, whatever force-unbind "
                        "says.",
                        id, usage.text);
        if (usage.kind == USAGE_NONE || may_force(device, broker->policy))
                return 0;
        return refuse(
                refusal, RESULT_DEVICE_BUSY_ON_HOST,
                "Device %s is in use on the host: %s. End that use, or set force-unbind = yes in [device "
                "id:%s].",
                id, usage.text, id);
}

/* What the kernel would refuse whatever the policy says, with what can be done about it. */
static int check_isolation(Broker *broker, const AcquirePlan *plan, const Device *device, Refusal *refusal)
{
        bool iommufd = plan->backend == POLICY_BACKEND_IOMMUFD;
        const char *id = device->info.id;
        HostIsolation host = {};

        broker->host->ops->isolation(broker->host, &host);
        if (!device_needs_group(device))
                return 0;
        if (!device->group && host.iommu[0])
                return refuse(
                        refusal, RESULT_GROUP_NOT_VIABLE,
                        "Device %s has no IOMMU group yet: this kernel gives it one when a driver is first "
                        "bound; an administrator can do that (`vfiobrokerctl bind %s`).",
                        id, id);
        if (!device->group)
                return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                              "Device %s has no IOMMU group, since this host has no IOMMU, or has it "
                              "switched off; "
                              "`vfiobrokerctl host` says what to change.",
                              id);
        if (device->info.noiommu)
                return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                              "Device %s has no IOMMU: the kernel gives it only to processes with "
                              "CAP_SYS_RAWIO, and "
                              "the broker to none.",
                              id);
        if (device_isolation(device, &host) == ISOLATION_NO && !(host.unsafe_backends & plan->backend))
                return refuse(
                        refusal, RESULT_GROUP_NOT_VIABLE,
                        "The interrupts of device %s are not isolated, and the kernel refuses such a device "
                        "unless allow_unsafe_interrupts of module %s is on.",
                        id, iommufd ? "iommufd" : "vfio_iommu_type1");
        return 0;
}

/* What only the machine's state refuses, once the policy has allowed it. */
static int check_machine(Broker *broker, AcquirePlan *plan, Refusal *refusal)
{
        int r;

        for (size_t i = 0; i < plan->n_devices; i++) {
                const Device *device = plan->devices[i];
                const char *id = device->info.id;
                char blockers[REFUSAL_TEXT_MAX / 2];

                if (device->state == DEVICE_QUARANTINED)
                        return refuse(refusal, RESULT_QUARANTINED,
                                      "Device %s is quarantined: %s. An administrator can try "
                                      "`vfiobrokerctl reset %s`.",
                                      id, device->state_reason, id);
                if (device->info.bridge)
                        return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                                      "Device %s is a bridge and cannot be passed.", id);
                if (device->info.by_mdev)
                        return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                                      "Device %s is passed by mediated devices only: make one of it.", id);
                r = check_isolation(broker, plan, device, refusal);
                if (r != 0)
                        return r;
                if (device->group &&
                    !group_viable(device->group, plan->devices, plan->n_devices, blockers, sizeof(blockers)))
                        return refuse(refusal, RESULT_GROUP_NOT_VIABLE,
                                      "Group %d of device %s is not viable: %s. Bind these to a VFIO driver "
                                      "or to none.",
                                      device->group->number, id, blockers);
                if (!device->made && !driver_of(device, broker->policy)[0])
                        return refuse(refusal, RESULT_DRIVER_BIND_FAILED,
                                      "No VFIO driver is known for device %s on bus %s; [device id:%s] can "
                                      "name one.",
                                      id, device->info.bus, id);
                if (broker_leased_function(broker, device,
                                           device->info.driver_is_vfio ? plan->tenant->name : NULL))
                        return refuse(refusal, RESULT_DEVICE_TAKEN,
                                      "Device %s cannot be given away while a virtual function or mdev of "
                                      "it is in use.",
                                      id);
                r = functions_check_driver(broker, device, refusal);
                if (r != 0)
                        return r;
                if (plan->tenant->reset == POLICY_RESET_REQUIRED && !broker_can_reset(broker, device))
                        return refuse(refusal, RESULT_RESET_FAILED,
                                      "Device %s has no reset of its own, and tenant %s requires one (reset "
                                      "= required).",
                                      id, plan->tenant->name);
        }
        /* The machine is asked last, since that costs most. */
        for (size_t i = 0; i < plan->n_devices; i++) {
                r = plan_check_usage(broker, plan->devices[i], refusal);
                if (r != 0)
                        return r;
        }
        return 0;
}

void plan_job_device(const Device *device, const Policy *policy, PolicyReset reset, JobDevice *ret)
{
        *ret = (JobDevice){
                .load_module = true,
                .force_unbind = may_force(device, policy),
                .prove = !device->proven,
                .reset = reset != POLICY_RESET_NONE && !device->clean,
                .reset_required = reset == POLICY_RESET_REQUIRED,
        };
        memcpy(ret->id, device->info.id, sizeof(ret->id));
        memcpy(ret->bus, device->info.bus, sizeof(ret->bus));
        ret->fd = -EBADF;
        ret->group = device->info.group;
        for (size_t i = 0; device->group && i < device->group->n_devices; i++) {
                const Device *other = device->group->devices[i];

                ret->group_shared |= other->lease && other->lease != device->lease;
        }
        (void)snprintf(ret->driver, sizeof(ret->driver), "%s", driver_of(device, policy));
}

void plan_done(AcquirePlan *plan)
{
        mdev_drop_planned(plan->devices, plan->n_devices);
        plan->n_devices = 0;
}

int plan_acquire(Broker *broker, const AcquireRequest *request, AcquirePlan *ret, Refusal *refusal)
{
        _cleanup_(plan_done) AcquirePlan plan = { .pidfd = -EBADF, .target = request->target };
        size_t n_made = 0;
        const Container *container;
        SelectFor who;
        Selection selection;
        Verdict verdict;
        int r;

        r = check_form(request, refusal);
        if (r != 0)
                return r;
        if (request->container && request->container[0])
                plan.container = request->container;

        if (request->target) {
                plan.tenant = policy_tenant_by_name(broker->policy, request->target->tenant->name);
                plan.container = request->target->container->name;
                if (!plan.tenant)
                        return refuse(refusal, RESULT_NO_TENANT, "Policy has no tenant %s any more.",
                                      request->target->tenant->name);
        } else {
                decide_tenant_traced(broker->policy, &request->caller, request->tenant, request->trace,
                                     &verdict);
                r = plan_result_of_verdict(&verdict, refusal);
                if (r != 0)
                        return r;
                plan.tenant = verdict.tenant;
                plan.memlock =
                        request->memlock == UINT64_MAX ? plan.tenant->memlock_default : request->memlock;
        }

        r = check_process(broker, request, &plan, refusal);
        if (r != 0)
                return r;

        who = (SelectFor){
                .tenant = plan.tenant,
                .admin = request->admin,
                .pid = plan.pid,
                .trace = request->trace,
        };
        r = select_devices(broker, &who, request->devices, request->n_devices, &selection, refusal);
        if (r != 0)
                return r;
        plan.n_devices = selection.n_devices;
        memcpy(plan.devices, selection.devices, sizeof(plan.devices));

        /* The backend after the policy's word on devices: a tenant learns first whether it may have them at all. */
        choose_backend(broker, request, &plan);
        r = decide(broker, request, &plan, refusal);
        if (r == 0)
                r = check_backend(broker, &plan, refusal);
        if (r == 0)
                r = check_container(broker, &plan, refusal);
        if (r == 0)
                r = check_machine(broker, &plan, refusal);
        if (r != 0)
                return r;

        if (broker->n_leases >= BROKER_LEASES_MAX)
                return refuse(refusal, RESULT_LIMITS_EXCEEDED, "The broker holds %d leases, its limit.",
                              BROKER_LEASES_MAX);

        job_init(&plan.job, JOB_OPEN);
        plan.job.backend = plan.backend;
        plan.job.n_devices = plan.n_devices;
        container = plan.container ? broker_container(broker, plan.tenant->name, plan.container) : NULL;
        plan.job.join = container && container_in_use(broker, container, NULL);
        for (size_t i = 0; i < plan.n_devices; i++) {
                plan_job_device(plan.devices[i], broker->policy, plan.tenant->reset, plan.job.devices + i);
                if (plan.devices[i]->made)
                        n_made++; /* its group is known once it is made */
                else if (plan.backend == POLICY_BACKEND_GROUP && plan.job.join)
                        job_group(&plan.job, plan.devices[i]->info.group)->fd =
                                container_group_fd(container, plan.devices[i]->info.group);
                else if (plan.backend == POLICY_BACKEND_GROUP)
                        (void)job_group(&plan.job, plan.devices[i]->info.group);
        }
        if (plan.backend != POLICY_BACKEND_GROUP)
                n_made = 0;
        r = lease_check_fds(1 + plan.job.n_groups + n_made + plan.n_devices, request->fds_max, refusal);
        if (r != 0)
                return r;
        *ret = plan;
        plan.n_devices = 0; /* its mdevs are the caller's */
        return 0;
}
