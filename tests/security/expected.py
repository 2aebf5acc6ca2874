"""The exact outcome of every attempt, as patterns for the whole line; lethal ones are always killed."""

from typing import Final

LETHAL_OUTCOME: Final = r"killed the agent made a forbidden system call \(SIGSYS\)"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In the tiers `root` and `user`, whatever the profile.
OWN_VIEW_OUTCOMES: Final = {
    "contained (memory_bytes|ENOMEM)": ("take_memory_by_private_maps",),
    "contained (memory_bytes|MemoryError.*)": ("take_memory_without_end",),
    r"contained EAGAIN after \d+": ("queue_signals_without_end",),
    r"contained EMFILE after \d+": ("open_files_without_end",),
    r"contained EMFILE after \d+ pairs": ("hide_memory_in_socket_buffers",),
    "contained ENOSPC after 1048576 bytes": ("fill_the_disk",),
    r"contained ENOSPC after \d+ files": ("make_files_without_end",),
    "contained EPERM": ("take_memory_by_shared_maps",),
    "contained EPERM after 0": ("start_processes_without_end",),
    "contained ETOOMANYREFS": ("pass_descriptors_to_itself_without_end",),
    r"contained after \d threads": ("start_threads_without_end",),
    "contained alone": ("count_processes_of_the_host",),
    "contained first of its namespace": ("be_numbered_like_the_host",),
    "contained nobody in particular": ("learn_ids_of_the_host",),
    "contained nothing of it is here": ("find_the_daemons_environment",),
    "contained only itself": ("list_users_of_the_host",),
    "contained only the channel": ("find_an_inherited_descriptor",),
    "contained own name": ("learn_the_hosts_name",),
    "denied.*": _names("""
        raise_a_limit raise_every_limit
    """),
    "denied .*failed to map segment.*": ("load_a_library_it_wrote",),
    "denied (EACCES|EROFS)": _names("""
        append_to_the_standard_library replace_this_package
    """),
    "denied (EFBIG|ENOSPC)": ("make_a_file_larger_than_the_disk",),
    "denied ENOENT": _names("""
        change_its_control_group climb_above_the_root follow_an_own_symlink_to_the_host
        link_a_file_of_the_host list_open_files_of_itself move_out_by_a_kept_directory open_dev_fuse
        open_dev_kmsg open_dev_kvm open_dev_mem open_dev_shm open_dev_tty open_dev_vda
        open_etc_hostname open_etc_shadow open_proc_1_environ open_proc_kallsyms open_proc_self_maps
        open_sys_kernel_mm read_a_file_of_the_host read_a_world_readable_secret
        read_processes_and_kernel_settings rename_across_the_wall see_a_file_of_the_host
        write_its_own_memory_file
    """),
    "denied ENOSYS": ("clone3_into_namespaces",),
    "denied ENOTSUP": ("hang_attributes_on_a_file",),
    "denied EPERM": _names("""
        add_a_filter_of_its_own add_file_rules_of_its_own advise_another_process
        allow_writable_code_again be_dumpable_again become_root become_somebody_else change_its_root
        choose_processors clone_a_process clone_a_thread_into_namespaces clone_into_namespaces
        connect_to_a_socket_file connect_to_an_abstract_name connect_to_the_host fork
        fork_without_copying get_a_handle_on_the_daemon get_a_handle_on_the_peer_of_the_channel
        give_a_file_away invite_a_tracer keep_capabilities leave_its_session
        leave_the_rules_of_execution limit_a_process_of_the_host listen_for_others lock_memory
        make_a_bluetooth_socket make_a_device make_a_kernel_crypto_socket make_a_netlink_socket
        make_a_packet_socket make_a_raw_socket make_a_socket_of_any_family make_a_tcp6_socket
        make_a_tcp_socket make_a_udp_socket make_a_unix_socket make_a_vsock_socket make_a_xdp_socket
        make_it_executable_with_a_key make_memory_executable make_secret_memory
        make_written_memory_executable map_a_file_it_wrote_executable map_a_memory_file_executable
        map_memory_executable map_memory_writable_and_executable map_shared_memory_executable
        move_pages_of_others open_a_message_queue outlive_its_parent own_a_subtree_of_processes
        pair_sockets_of_another_family read_the_kernel_log run_a_memory_file run_a_program
        run_by_deadline run_in_real_time send_past_the_peer_of_a_pair set_a_limit_the_old_way
        set_the_clock share_memory_by_key share_semaphores_and_messages spawn_by_posix splice_pages
        steal_a_descriptor take_a_handle_on_a_process_of_the_host take_capabilities
        take_disk_priority take_priority type_into_the_terminal type_with_high_bits
        use_a_set_user_id_file watch_files_of_others
    """),
    "denied (EPERM|ImportError.*)": _names("""
        preload_into_a_child run_a_program_it_wrote spawn_a_shell
    """),
    "denied EROFS": _names("""
        make_a_file_beside_the_root make_a_file_in_the_device_directory
        write_outside_the_scratch_space
    """),
    "denied ESRCH": _names("""
        kill_everybody kill_its_parent queue_a_signal_for_a_process_of_the_host
        signal_a_process_of_the_host signal_the_daemon
    """),
}

# Where the tier `reduced` differs: files are there but closed, and there is no scratch space.
REDUCED_OUTCOMES: Final = {
    "contained EACCES after 0 bytes": ("fill_the_disk",),
    "contained EACCES after 0 files": ("make_files_without_end",),
    "denied EACCES": _names("""
        climb_above_the_root follow_an_own_symlink_to_the_host link_a_file_of_the_host
        list_open_files_of_itself load_a_library_it_wrote make_a_file_beside_the_root
        make_a_file_in_the_device_directory make_a_file_larger_than_the_disk
        map_a_file_it_wrote_executable move_out_by_a_kept_directory open_dev_fuse open_dev_kmsg
        open_dev_kvm open_dev_shm open_dev_tty open_dev_vda open_etc_hostname open_etc_shadow
        open_proc_1_environ open_proc_kallsyms open_proc_self_maps open_sys_kernel_mm
        read_a_file_of_the_host read_a_world_readable_secret read_processes_and_kernel_settings
        rename_across_the_wall run_a_program_it_wrote use_a_set_user_id_file
        write_its_own_memory_file write_outside_the_scratch_space
    """),
    "denied EPERM": _names("""
        kill_its_parent queue_a_signal_for_a_process_of_the_host signal_a_process_of_the_host
        signal_the_daemon
    """),
}

# Succeed without a sandbox on any Linux, so these prove that the attempts can succeed.
BITES: Final = frozenset(
    _names("""
    be_dumpable_again be_numbered_like_the_host choose_processors climb_above_the_root
    clone_a_process connect_to_a_socket_file connect_to_an_abstract_name connect_to_the_host
    count_processes_of_the_host follow_an_own_symlink_to_the_host fork hide_memory_in_socket_buffers
    keep_capabilities kill_everybody kill_its_parent leave_its_session leave_the_rules_of_execution
    link_a_file_of_the_host list_open_files_of_itself list_users_of_the_host listen_for_others
    load_a_library_it_wrote lock_memory make_a_netlink_socket make_a_socket_of_any_family
    make_a_tcp6_socket make_a_tcp_socket make_a_udp_socket make_a_unix_socket make_files_without_end
    make_memory_executable make_written_memory_executable map_a_file_it_wrote_executable
    map_a_memory_file_executable map_memory_executable map_memory_writable_and_executable
    map_shared_memory_executable move_out_by_a_kept_directory open_files_without_end
    open_proc_self_maps outlive_its_parent own_a_subtree_of_processes preload_into_a_child
    queue_a_signal_for_a_process_of_the_host queue_signals_without_end read_a_file_of_the_host
    read_a_world_readable_secret read_processes_and_kernel_settings run_a_memory_file run_a_program
    run_a_program_it_wrote see_a_file_of_the_host send_past_the_peer_of_a_pair
    set_a_limit_the_old_way share_memory_by_key share_semaphores_and_messages
    signal_a_process_of_the_host signal_the_daemon spawn_a_shell spawn_by_posix splice_pages
    start_processes_without_end start_threads_without_end take_a_handle_on_a_process_of_the_host
    take_memory_by_private_maps take_memory_by_shared_maps take_memory_without_end
    watch_files_of_others write_its_own_memory_file
""")
)

# Succeed without a sandbox, some only as the root of a user namespace, where the kernel gives users as much.
BITES_WHERE_ALLOWED: Final = frozenset(
    _names("""
    add_file_rules_of_its_own allow_writable_code_again ask_to_be_traced become_root
    become_somebody_else call_add_key call_fsopen call_fspick call_keyctl call_modify_ldt
    call_mount_setattr call_process_vm_writev call_setdomainname call_sethostname call_userfaultfd
    change_its_root clone3_into_namespaces clone_into_namespaces fill_the_disk
    find_an_inherited_descriptor find_the_daemons_environment get_a_handle_on_the_daemon
    get_a_handle_on_the_peer_of_the_channel give_a_file_away hang_attributes_on_a_file
    learn_ids_of_the_host learn_the_hosts_name limit_a_process_of_the_host
    make_a_file_larger_than_the_disk make_a_packet_socket make_a_vsock_socket make_a_xdp_socket
    make_it_executable_with_a_key make_namespaces make_secret_memory mount_something
    open_a_message_queue open_dev_shm open_etc_hostname open_proc_kallsyms open_sys_kernel_mm
    pass_descriptors_to_itself_without_end read_the_memory_of_a_process rename_across_the_wall
    run_by_deadline set_the_clock take_capabilities trace_a_process unshare_the_cgroup_namespace
    unshare_the_host_name_namespace unshare_the_ipc_namespace unshare_the_mount_namespace
    unshare_the_network_namespace unshare_the_process_namespace unshare_the_time_namespace
    use_a_set_user_id_file use_io_uring
""")
)
REFUSED_BY_THE_KERNEL: Final = r"(denied|contained|killed) .*"

# Stopped by the filter alone: with one that allows everything, the other layers let these through.
FILTER_ONLY: Final = _names("""
    fork make_a_socket_of_any_family make_a_netlink_socket make_memory_executable leave_the_rules_of_execution
    share_memory_by_key call_add_key
""")


def pattern_of(attempt: str, tier: str) -> str:
    """What the outcome of an attempt that is not lethal must match."""
    tables = (REDUCED_OUTCOMES, OWN_VIEW_OUTCOMES) if tier == "reduced" else (OWN_VIEW_OUTCOMES,)
    for table in tables:
        for pattern, names in table.items():
            if attempt in names:
                return pattern
    raise KeyError(f"no outcome is written down for {attempt}")
