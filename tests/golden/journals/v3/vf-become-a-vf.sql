-- 0 before
-- 1 after
-- 2 pending
-- 3 waiting 13 detach
-- 4 waiting 14 journal.commit
-- 5 resuming 01 journal.commit
-- 6 resuming 02 journal.commit
-- 7 resuming 05 journal.commit
-- 8 resuming 10 journal.commit
-- 9 resuming 11 networks.create_port
-- 10 resuming 13 journal.amend_holding
-- 11 resuming 14 journal.commit
-- 12 resuming 15 attach
-- 13 killed 12 journal.commit
-- 14 killed 13 detach
-- 15 killed 14 journal.commit
-- 16 killed 17 journal.commit
-- 17 killed 22 journal.commit
-- 18 killed 23 networks.create_port
-- 19 killed 25 journal.amend_holding
-- 20 killed 26 journal.commit
-- 21 killed 27 attach
-- 22 incomplete 13 detach
-- 23 incomplete 23 networks.create_port
-- 24 incomplete 27 attach
-- 25 lost 13 detach
-- 26 lost 23 networks.create_port
-- 27 lost 27 attach
-- 28 undoing 04 detach
-- 29 undoing 12 host_devices.apply
-- 30 undoing 14 networks.delete_port
-- 31 undoing 20 attach
INSERT INTO "compensation_totals" VALUES('ask','failed',1); -- 22-24
INSERT INTO "compensation_totals" VALUES('claim_device','failed',1); -- 23-24
INSERT INTO "compensation_totals" VALUES('attach_hostdev','failed',1); -- 24
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 0-31
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 0-31
INSERT INTO "duration_totals" VALUES('update','allocate',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('update','guest',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('update','plug',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('update','release',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('update','unplug',0.001,1,0.0); -- 1
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0005-4000-8000-000000000000','000000000004','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 1 19-21 27-30
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0006-4000-8000-000000000000','000000000004','{}','{}','',1700000005.0); -- 8-9
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0006-4000-8000-000000000000','000000000004','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000005.0); -- 10-12
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0005-4000-8000-000000000000','000000000004','{}','{}','',1700000000.0); -- 17-18 23 26
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0005-4000-8000-000000000000','000000000004','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','domain fake still has it',1700000000.0); -- 24
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','bridge','br0','virtio','vnet0','','','Initialised','Connected','',1700000000.0); -- 0 2-31
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','hostdev','0000:01:10.0','','','','pool','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "operation_totals" VALUES('attach','bridge','done','',1); -- 0-31
INSERT INTO "operation_totals" VALUES('update','bridge','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','bridge','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-vf1''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 0-31
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','pending','pending','guest-holds-device','pending: the guest has been asked, but still holds ua-vf1. The journal keeps the replacement; the new NIC goes in when the guest lets go of the old one: ''virtnetplug recover fake --wait 60'' waits for that.','00000000000340008000000000000000',1700000000.0,NULL); -- 2
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 3-4 13-21
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','pending','pending','guest-holds-device','pending: the guest has been asked, but still holds ua-vf1. The journal keeps the replacement; the new NIC goes in when the guest lets go of the old one: ''virtnetplug recover fake --wait 60'' waits for that.','00000000000540008000000000000000',1700000000.0,NULL); -- 5-12
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (ask: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 22
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (claim_device: it failed, for the test; ask: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 23
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.; ask: the guest was asked to let go of ua-vf1 and still may). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 24
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000340008000000000000000',1700000000.0,NULL); -- 25-27
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-vf1"}],"asked":["ua-vf1"],"replace":true,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/><source network=''pool''/><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["type","source_network","source_bridge","model"],"type":"hostdev","settings":{},"old":null}}','running','','','','00000000000640008000000000000000',1700000000.0,NULL); -- 28-31
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-31
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-31
INSERT INTO "steps" VALUES('000000000002',2,'host_net_add','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 0-31
INSERT INTO "steps" VALUES('000000000002',3,'confirm','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 0-31
INSERT INTO "steps" VALUES('000000000002',4,'define','ua-vf1','plug','config','done',1700000000.0,0.0,''); -- 0-31
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','done',1700000000.0,0.0,''); -- 1-2 4 15-21 26-31
INSERT INTO "steps" VALUES('000000000004',1,'guest_release','ua-vf1','guest','live','done',1700000000.0,0.0,''); -- 1 16-21 23-24 26-31
INSERT INTO "steps" VALUES('000000000004',2,'host_net_remove','ua-vf1','release','live','done',1700000000.0,0.0,''); -- 1 16-21 23-24 26-31
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','done',1700000000.0,0.0,''); -- 1 20-21 27-31
INSERT INTO "steps" VALUES('000000000004',4,'plug_device','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 20-21 24 27-31
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',6,'confirm','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',1,'guest_release','ua-vf1','guest','live','started',1700000000.0,NULL,''); -- 2 5-6
INSERT INTO "steps" VALUES('000000000004',2,'host_net_remove','ua-vf1','release','live','planned',NULL,NULL,''); -- 2-6 13-15 22 25
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','planned',NULL,NULL,''); -- 2-6 13-15 22 25
INSERT INTO "steps" VALUES('000000000004',4,'plug_device','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-10 13-19 22-23 25-26
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-10 13-19 22-23 25-26
INSERT INTO "steps" VALUES('000000000004',6,'confirm','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-31
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','started',1700000000.0,NULL,''); -- 3 13-14
INSERT INTO "steps" VALUES('000000000004',1,'guest_release','ua-vf1','guest','live','planned',NULL,NULL,''); -- 3-4 13-15 22 25
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','started',1700000005.0,NULL,''); -- 5
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','done',1700000005.0,0.0,''); -- 6-12
INSERT INTO "steps" VALUES('000000000004',1,'guest_release','ua-vf1','guest','live','done',1700000000.0,5.0,''); -- 7-12
INSERT INTO "steps" VALUES('000000000004',2,'host_net_remove','ua-vf1','release','live','done',1700000005.0,0.0,''); -- 7-12
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','started',1700000005.0,NULL,''); -- 7-10
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','done',1700000005.0,0.0,''); -- 11-12
INSERT INTO "steps" VALUES('000000000004',4,'plug_device','ua-vf1','plug','live','done',1700000005.0,0.0,''); -- 11-12
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','started',1700000005.0,NULL,''); -- 11-12
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','started',1700000000.0,NULL,''); -- 16-19
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','started',1700000000.0,NULL,''); -- 20-21 28-31
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 22-23
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 23
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','undo-failed',1700000000.0,0.0,'the guest was asked to let go of ua-vf1 and still may'); -- 24
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 24
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 24
INSERT INTO "steps" VALUES('000000000004',0,'ask','ua-vf1','unplug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 25
INSERT INTO "steps" VALUES('000000000004',3,'claim_device','ua-vf1','allocate','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 26
INSERT INTO "steps" VALUES('000000000004',5,'attach_hostdev','ua-vf1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 27
